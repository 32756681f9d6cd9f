package conf

import "time"

// VerificationConfig is how a partition makes sure that the transaction coordinator knows of a transaction.
type VerificationConfig struct {
	Enabled bool // for clients that tell the coordinator themselves
	// Backoff is between two questions while the producer's transaction before ends, MaxBackoff the time after which its client is
	// told to ask again itself.
	Backoff, MaxBackoff time.Duration
}

var brokerVerification = []Def{
	{Name: "transaction.partition.verification.enable", Kind: Boolean, Default: "true", Update: ClusterWide,
		Doc: "Whether a partition asks the transaction coordinator before it takes the first batch of a transaction from a client that does not have it added by the batch itself."},
	{Name: "add.partitions.to.txn.retry.backoff.ms", Kind: Int, Default: "20", valid: atLeast(1),
		Doc: "Time between two attempts to add a partition to a transaction while the producer's transaction before it is being ended."},
	{Name: "add.partitions.to.txn.retry.backoff.max.ms", Kind: Int, Default: "100", valid: atLeast(0),
		Doc: "Time after which such attempts are left to the client."},
}

func verificationConfig(r reader) VerificationConfig {
	return VerificationConfig{
		Enabled: r.flag("transaction.partition.verification.enable"),
		Backoff: r.ms("add.partitions.to.txn.retry.backoff.ms"), MaxBackoff: r.ms("add.partitions.to.txn.retry.backoff.max.ms"),
	}
}
