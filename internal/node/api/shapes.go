// Code generated from kmsg by go test -run TestShapesAreThoseOfKmsg -update; DO NOT EDIT.

package api

// shapes are those of the requests that are served, by key. Nothing changes them.
var shapes = map[int16]requestShape{
	0: {flexible: 9, fields: []field{ // Produce
		{kind: stringField, size: 16, first: 3, last: never},
		{kind: fixedField, size: 2, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: structsField, size: 64, last: never, of: []field{
			{kind: stringField, first: 0, last: 12},
			{kind: fixedField, size: 16, first: 13, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: bytesField, last: never},
			}},
		}},
	}},
	1: {flexible: 12, fields: []field{ // Fetch
		{kind: stringField, size: 16, last: never, tagged: true, tag: 0},
		{kind: fixedField, size: 4, first: 0, last: 14},
		{kind: structField, last: never, tagged: true, tag: 1, of: []field{
			{kind: fixedField, size: 4, last: never},
			{kind: fixedField, size: 8, last: never},
		}},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, first: 3, last: never},
		{kind: fixedField, size: 1, first: 4, last: never},
		{kind: fixedField, size: 4, first: 7, last: never},
		{kind: fixedField, size: 4, first: 7, last: never},
		{kind: structsField, size: 64, last: never, of: []field{
			{kind: stringField, first: 0, last: 12},
			{kind: fixedField, size: 16, first: 13, last: never},
			{kind: structsField, size: 72, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, first: 9, last: never},
				{kind: fixedField, size: 8, last: never},
				{kind: fixedField, size: 4, first: 12, last: never},
				{kind: fixedField, size: 8, first: 5, last: never},
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 16, last: never, tagged: true, tag: 0},
				{kind: fixedField, size: 8, last: never, tagged: true, tag: 1},
			}},
		}},
		{kind: structsField, size: 64, first: 7, last: never, of: []field{
			{kind: stringField, first: 7, last: 12},
			{kind: fixedField, size: 16, first: 13, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: stringField, first: 11, last: never},
	}},
	2: {flexible: 6, fields: []field{ // ListOffsets
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 1, first: 2, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 32, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, first: 4, last: never},
				{kind: fixedField, size: 8, last: never},
				{kind: fixedField, size: 4, first: 0, last: 0},
			}},
		}},
		{kind: fixedField, size: 4, first: 10, last: never},
	}},
	3: {flexible: 9, fields: []field{ // Metadata
		{kind: structsField, size: 32, last: never, of: []field{
			{kind: fixedField, size: 16, first: 10, last: never},
			{kind: stringField, size: 16, last: never},
		}},
		{kind: fixedField, size: 1, first: 4, last: never},
		{kind: fixedField, size: 1, first: 8, last: 10},
		{kind: fixedField, size: 1, first: 8, last: never},
	}},
	8: {flexible: 8, fields: []field{ // OffsetCommit
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, first: 1, last: never},
		{kind: stringField, first: 1, last: never},
		{kind: stringField, size: 16, first: 7, last: never},
		{kind: fixedField, size: 8, first: 2, last: 4},
		{kind: structsField, size: 64, last: never, of: []field{
			{kind: stringField, first: 0, last: 9},
			{kind: fixedField, size: 16, first: 10, last: never},
			{kind: structsField, size: 48, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 8, last: never},
				{kind: fixedField, size: 8, first: 1, last: 1},
				{kind: fixedField, size: 4, first: 6, last: never},
				{kind: stringField, size: 16, last: never},
			}},
		}},
	}},
	9: {flexible: 6, fields: []field{ // OffsetFetch
		{kind: stringField, first: 0, last: 7},
		{kind: structsField, size: 48, first: 0, last: 7, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: structsField, size: 64, first: 8, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: stringField, size: 16, first: 9, last: never},
			{kind: fixedField, size: 4, first: 9, last: never},
			{kind: structsField, size: 64, last: never, of: []field{
				{kind: stringField, first: 8, last: 9},
				{kind: fixedField, size: 16, first: 10, last: never},
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
		}},
		{kind: fixedField, size: 1, first: 7, last: never},
	}},
	10: {flexible: 3, fields: []field{ // FindCoordinator
		{kind: stringField, first: 0, last: 3},
		{kind: fixedField, size: 1, first: 1, last: never},
		{kind: valuesField, size: 16, first: 4, last: never, of: []field{{kind: stringField}}},
	}},
	11: {flexible: 6, fields: []field{ // JoinGroup
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, first: 1, last: never},
		{kind: stringField, last: never},
		{kind: stringField, size: 16, first: 5, last: never},
		{kind: stringField, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: bytesField, last: never},
		}},
		{kind: stringField, size: 16, first: 8, last: never},
	}},
	12: {flexible: 4, fields: []field{ // Heartbeat
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: stringField, last: never},
		{kind: stringField, size: 16, first: 3, last: never},
	}},
	13: {flexible: 4, fields: []field{ // LeaveGroup
		{kind: stringField, last: never},
		{kind: stringField, first: 0, last: 2},
		{kind: structsField, size: 40, first: 3, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: stringField, size: 16, last: never},
			{kind: stringField, size: 16, first: 5, last: never},
		}},
	}},
	14: {flexible: 4, fields: []field{ // SyncGroup
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: stringField, last: never},
		{kind: stringField, size: 16, first: 3, last: never},
		{kind: stringField, size: 16, first: 5, last: never},
		{kind: stringField, size: 16, first: 5, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: bytesField, last: never},
		}},
	}},
	15: {flexible: 5, fields: []field{ // DescribeGroups
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		{kind: fixedField, size: 1, first: 3, last: never},
	}},
	16: {flexible: 3, fields: []field{ // ListGroups
		{kind: valuesField, size: 16, first: 4, last: never, of: []field{{kind: stringField}}},
		{kind: valuesField, size: 16, first: 5, last: never, of: []field{{kind: stringField}}},
	}},
	18: {flexible: 3, fields: []field{ // ApiVersions
		{kind: stringField, first: 3, last: never},
		{kind: stringField, first: 3, last: never},
		{kind: stringField, size: 16, first: 5, last: never},
		{kind: fixedField, size: 4, first: 5, last: never},
	}},
	19: {flexible: 5, fields: []field{ // CreateTopics
		{kind: structsField, size: 80, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 4, last: never},
			{kind: fixedField, size: 2, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
			{kind: structsField, size: 32, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: stringField, size: 16, last: never},
			}},
		}},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 1, first: 1, last: never},
	}},
	20: {flexible: 4, fields: []field{ // DeleteTopics
		{kind: valuesField, size: 16, first: 0, last: 5, of: []field{{kind: stringField}}},
		{kind: structsField, size: 32, first: 6, last: never, of: []field{
			{kind: stringField, size: 16, last: never},
			{kind: fixedField, size: 16, last: never},
		}},
		{kind: fixedField, size: 4, last: never},
	}},
	21: {flexible: 2, fields: []field{ // DeleteRecords
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 24, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 8, last: never},
			}},
		}},
		{kind: fixedField, size: 4, last: never},
	}},
	22: {flexible: 2, fields: []field{ // InitProducerID
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 8, first: 3, last: never},
		{kind: fixedField, size: 2, first: 3, last: never},
	}},
	23: {flexible: 4, fields: []field{ // OffsetForLeaderEpoch
		{kind: fixedField, size: 4, first: 3, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 24, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, first: 2, last: never},
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	24: {flexible: 3, fields: []field{ // AddPartitionsToTxn
		{kind: stringField, first: 0, last: 3},
		{kind: fixedField, size: 8, first: 0, last: 3},
		{kind: fixedField, size: 2, first: 0, last: 3},
		{kind: structsField, size: 48, first: 0, last: 3, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: structsField, size: 64, first: 4, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 8, last: never},
			{kind: fixedField, size: 2, last: never},
			{kind: fixedField, size: 1, last: never},
			{kind: structsField, size: 48, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
		}},
	}},
	25: {flexible: 3, fields: []field{ // AddOffsetsToTxn
		{kind: stringField, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: fixedField, size: 2, last: never},
		{kind: stringField, last: never},
	}},
	26: {flexible: 3, fields: []field{ // EndTxn
		{kind: stringField, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: fixedField, size: 2, last: never},
		{kind: fixedField, size: 1, last: never},
	}},
	27: {flexible: 1, fields: []field{ // WriteTxnMarkers
		{kind: structsField, size: 56, last: never, of: []field{
			{kind: fixedField, size: 8, last: never},
			{kind: fixedField, size: 2, last: never},
			{kind: fixedField, size: 1, last: never},
			{kind: structsField, size: 48, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
			{kind: fixedField, size: 4, last: never},
			{kind: fixedField, size: 1, first: 2, last: never},
		}},
	}},
	28: {flexible: 3, fields: []field{ // TxnOffsetCommit
		{kind: stringField, last: never},
		{kind: stringField, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: fixedField, size: 2, last: never},
		{kind: fixedField, size: 4, first: 3, last: never},
		{kind: stringField, first: 3, last: never},
		{kind: stringField, size: 16, first: 3, last: never},
		{kind: structsField, size: 64, last: never, of: []field{
			{kind: stringField, first: 0, last: 5},
			{kind: fixedField, size: 16, first: 6, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 8, last: never},
				{kind: fixedField, size: 4, first: 2, last: never},
				{kind: stringField, size: 16, last: never},
			}},
		}},
	}},
	32: {flexible: 4, fields: []field{ // DescribeConfigs
		{kind: structsField, size: 56, last: never, of: []field{
			{kind: fixedField, size: 1, last: never},
			{kind: stringField, last: never},
			{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		}},
		{kind: fixedField, size: 1, first: 1, last: never},
		{kind: fixedField, size: 1, first: 3, last: never},
	}},
	33: {flexible: 2, fields: []field{ // AlterConfigs
		{kind: structsField, size: 56, last: never, of: []field{
			{kind: fixedField, size: 1, last: never},
			{kind: stringField, last: never},
			{kind: structsField, size: 32, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: stringField, size: 16, last: never},
			}},
		}},
		{kind: fixedField, size: 1, last: never},
	}},
	34: {flexible: 2, fields: []field{ // AlterReplicaLogDirs
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 48, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
		}},
	}},
	35: {flexible: 2, fields: []field{ // DescribeLogDirs
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
	}},
	37: {flexible: 2, fields: []field{ // CreatePartitions
		{kind: structsField, size: 56, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 4, last: never},
			{kind: structsField, size: 32, last: never, of: []field{
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
		}},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 1, last: never},
	}},
	42: {flexible: 2, fields: []field{ // DeleteGroups
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
	}},
	43: {flexible: 2, fields: []field{ // ElectLeaders
		{kind: fixedField, size: 1, first: 1, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: fixedField, size: 4, last: never},
	}},
	44: {flexible: 1, fields: []field{ // IncrementalAlterConfigs
		{kind: structsField, size: 56, last: never, of: []field{
			{kind: fixedField, size: 1, last: never},
			{kind: stringField, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: fixedField, size: 1, last: never},
				{kind: stringField, size: 16, last: never},
			}},
		}},
		{kind: fixedField, size: 1, last: never},
	}},
	45: {flexible: 0, fields: []field{ // AlterPartitionAssignments
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 1, first: 1, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
			}},
		}},
	}},
	46: {flexible: 0, fields: []field{ // ListPartitionReassignments
		{kind: fixedField, size: 4, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
	}},
	47: {flexible: never, fields: []field{ // OffsetDelete
		{kind: stringField, last: never},
		{kind: structsField, size: 40, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 4, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	55: {flexible: 0, fields: []field{ // DescribeQuorum
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: structsField, size: 16, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	56: {flexible: 0, fields: []field{ // AlterPartition
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: structsField, size: 64, last: never, of: []field{
			{kind: stringField, first: 0, last: 1},
			{kind: fixedField, size: 16, first: 2, last: never},
			{kind: structsField, size: 72, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, last: never},
				{kind: valuesField, size: 4, first: 0, last: 2, of: []field{{kind: fixedField, size: 4}}},
				{kind: structsField, size: 24, first: 3, last: never, of: []field{
					{kind: fixedField, size: 4, last: never},
					{kind: fixedField, size: 8, last: never},
				}},
				{kind: fixedField, size: 1, first: 1, last: never},
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	57: {flexible: 0, fields: []field{ // UpdateFeatures
		{kind: fixedField, size: 4, last: never},
		{kind: structsField, size: 32, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 2, last: never},
			{kind: fixedField, size: 1, first: 0, last: 0},
			{kind: fixedField, size: 1, first: 1, last: never},
		}},
		{kind: fixedField, size: 1, first: 1, last: never},
	}},
	60: {flexible: 0, fields: []field{ // DescribeCluster
		{kind: fixedField, size: 1, last: never},
		{kind: fixedField, size: 1, first: 1, last: never},
		{kind: fixedField, size: 1, first: 2, last: never},
	}},
	61: {flexible: 0, fields: []field{ // DescribeProducers
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
	}},
	62: {flexible: 0, fields: []field{ // BrokerRegistration
		{kind: fixedField, size: 4, last: never},
		{kind: stringField, last: never},
		{kind: fixedField, size: 16, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: stringField, last: never},
			{kind: fixedField, size: 2, last: never},
			{kind: fixedField, size: 2, last: never},
		}},
		{kind: structsField, size: 32, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 2, last: never},
			{kind: fixedField, size: 2, last: never},
		}},
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 1, first: 1, last: never},
		{kind: valuesField, size: 16, first: 2, last: never, of: []field{{kind: fixedField, size: 16}}},
		{kind: fixedField, size: 8, first: 3, last: never},
	}},
	63: {flexible: 0, fields: []field{ // BrokerHeartbeat
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: fixedField, size: 1, last: never},
		{kind: fixedField, size: 1, last: never},
		{kind: valuesField, size: 16, last: never, tagged: true, tag: 0, of: []field{{kind: fixedField, size: 16}}},
		{kind: valuesField, size: 16, last: never, tagged: true, tag: 1, of: []field{{kind: fixedField, size: 16}}},
	}},
	64: {flexible: 0, fields: []field{ // UnregisterBroker
		{kind: fixedField, size: 4, last: never},
	}},
	65: {flexible: 0, fields: []field{ // DescribeTransactions
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
	}},
	66: {flexible: 0, fields: []field{ // ListTransactions
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		{kind: valuesField, size: 8, last: never, of: []field{{kind: fixedField, size: 8}}},
		{kind: fixedField, size: 8, first: 1, last: never},
		{kind: stringField, size: 16, first: 2, last: never},
	}},
	67: {flexible: 0, fields: []field{ // AllocateProducerIDs
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 8, last: never},
	}},
	68: {flexible: 0, fields: []field{ // ConsumerGroupHeartbeat
		{kind: stringField, last: never},
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		{kind: stringField, size: 16, first: 1, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
	}},
	69: {flexible: 0, fields: []field{ // ConsumerGroupDescribe
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		{kind: fixedField, size: 1, last: never},
	}},
	73: {flexible: 0, fields: []field{ // AssignReplicasToDirs
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 8, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 48, last: never, of: []field{
				{kind: fixedField, size: 16, last: never},
				{kind: structsField, size: 16, last: never, of: []field{
					{kind: fixedField, size: 4, last: never},
				}},
			}},
		}},
	}},
	74: {flexible: 0, fields: []field{ // ListConfigResources
		{kind: valuesField, size: 1, first: 1, last: never, of: []field{{kind: fixedField, size: 1}}},
	}},
	75: {flexible: 0, fields: []field{ // DescribeTopicPartitions
		{kind: structsField, size: 24, last: never, of: []field{
			{kind: stringField, last: never},
		}},
		{kind: fixedField, size: 4, last: never},
		{kind: nullableField, size: 32, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 4, last: never},
		}},
	}},
	76: {flexible: 0, fields: []field{ // ShareGroupHeartbeat
		{kind: stringField, last: never},
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
	}},
	77: {flexible: 0, fields: []field{ // ShareGroupDescribe
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		{kind: fixedField, size: 1, last: never},
	}},
	78: {flexible: 0, fields: []field{ // ShareFetch
		{kind: stringField, size: 16, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, first: 1, last: never},
		{kind: fixedField, size: 4, first: 1, last: never},
		{kind: fixedField, size: 1, first: 2, last: never},
		{kind: fixedField, size: 1, first: 2, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, first: 0, last: 0},
				{kind: structsField, size: 48, last: never, of: []field{
					{kind: fixedField, size: 8, last: never},
					{kind: fixedField, size: 8, last: never},
					{kind: valuesField, size: 1, last: never, of: []field{{kind: fixedField, size: 1}}},
				}},
			}},
		}},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
	}},
	79: {flexible: 0, fields: []field{ // ShareAcknowledge
		{kind: stringField, size: 16, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 1, first: 2, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 40, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: structsField, size: 48, last: never, of: []field{
					{kind: fixedField, size: 8, last: never},
					{kind: fixedField, size: 8, last: never},
					{kind: valuesField, size: 1, last: never, of: []field{{kind: fixedField, size: 1}}},
				}},
			}},
		}},
	}},
	80: {flexible: 0, fields: []field{ // AddRaftVoter
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 16, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: stringField, last: never},
			{kind: fixedField, size: 2, last: never},
		}},
		{kind: fixedField, size: 1, first: 1, last: never},
	}},
	81: {flexible: 0, fields: []field{ // RemoveRaftVoter
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 16, last: never},
	}},
	83: {flexible: 0, fields: []field{ // InitializeShareGroupState
		{kind: stringField, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 24, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 8, last: never},
			}},
		}},
	}},
	84: {flexible: 0, fields: []field{ // ReadShareGroupState
		{kind: stringField, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 16, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	85: {flexible: 0, fields: []field{ // WriteShareGroupState
		{kind: stringField, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 64, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 8, last: never},
				{kind: fixedField, size: 4, first: 1, last: never},
				{kind: structsField, size: 32, last: never, of: []field{
					{kind: fixedField, size: 8, last: never},
					{kind: fixedField, size: 8, last: never},
					{kind: fixedField, size: 1, last: never},
					{kind: fixedField, size: 2, last: never},
				}},
			}},
		}},
	}},
	86: {flexible: 0, fields: []field{ // DeleteShareGroupState
		{kind: stringField, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 16, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	87: {flexible: 0, fields: []field{ // ReadShareGroupStateSummary
		{kind: stringField, last: never},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: fixedField, size: 16, last: never},
			{kind: structsField, size: 16, last: never, of: []field{
				{kind: fixedField, size: 4, last: never},
				{kind: fixedField, size: 4, last: never},
			}},
		}},
	}},
	88: {flexible: 0, fields: []field{ // StreamsGroupHeartbeat
		{kind: stringField, last: never},
		{kind: stringField, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: stringField, size: 16, last: never},
		{kind: fixedField, size: 4, last: never},
		{kind: nullableField, size: 40, last: never, of: []field{
			{kind: fixedField, size: 4, last: never},
			{kind: structsField, size: 168, last: never, of: []field{
				{kind: stringField, last: never},
				{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
				{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
				{kind: structsField, size: 56, last: never, of: []field{
					{kind: stringField, last: never},
					{kind: fixedField, size: 4, last: never},
					{kind: fixedField, size: 2, last: never},
					{kind: structsField, size: 40, last: never, of: []field{
						{kind: stringField, last: never},
						{kind: stringField, last: never},
					}},
				}},
				{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
				{kind: structsField, size: 56, last: never, of: []field{
					{kind: stringField, last: never},
					{kind: fixedField, size: 4, last: never},
					{kind: fixedField, size: 2, last: never},
					{kind: structsField, size: 40, last: never, of: []field{
						{kind: stringField, last: never},
						{kind: stringField, last: never},
					}},
				}},
				{kind: structsField, size: 80, last: never, of: []field{
					{kind: valuesField, size: 2, last: never, of: []field{{kind: fixedField, size: 2}}},
					{kind: valuesField, size: 2, last: never, of: []field{{kind: fixedField, size: 2}}},
					{kind: valuesField, size: 2, last: never, of: []field{{kind: fixedField, size: 2}}},
				}},
			}},
		}},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: structsField, size: 48, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: valuesField, size: 4, last: never, of: []field{{kind: fixedField, size: 4}}},
		}},
		{kind: stringField, size: 16, last: never},
		{kind: nullableField, size: 32, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 2, last: never},
		}},
		{kind: structsField, size: 40, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: stringField, last: never},
		}},
		{kind: structsField, size: 40, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 4, last: never},
			{kind: fixedField, size: 8, last: never},
		}},
		{kind: structsField, size: 40, last: never, of: []field{
			{kind: stringField, last: never},
			{kind: fixedField, size: 4, last: never},
			{kind: fixedField, size: 8, last: never},
		}},
		{kind: fixedField, size: 1, last: never},
	}},
	89: {flexible: 0, fields: []field{ // StreamsGroupDescribe
		{kind: valuesField, size: 16, last: never, of: []field{{kind: stringField}}},
		{kind: fixedField, size: 1, last: never},
		{kind: fixedField, size: 1, first: 1, last: never},
	}},
}
