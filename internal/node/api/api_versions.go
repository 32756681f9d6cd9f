package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxApiVersions is the newest version of ApiVersions itself, as of Apache Kafka 4.3.
const maxApiVersions = 4

// apiVersions answers what this node speaks. It is exactly the table: nothing that is not built is advertised, since
// clients change their behaviour by what they see here.
func (s *Server) apiVersions(_ context.Context, c *Call, req *kmsg.ApiVersionsRequest) Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	if c.Version >= 3 && (!softwareName(req.ClientSoftwareName) || !softwareName(req.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	for _, e := range s.entries {
		resp.ApiKeys = append(resp.ApiKeys, versionRange(e))
	}
	if c.Version >= 3 && s.Features != nil {
		addFeatures(resp, s.Features(), c.Version)
	}
	return resp
}

func versionRange(e Entry) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = int16(e.Key), e.Min, e.Max
	if e.Key == kmsg.Produce {
		k.MinVersion = e.AdvertiseMin
	}
	return k
}

func addFeatures(resp *kmsg.ApiVersionsResponse, f Features, version int16) {
	for _, r := range f.Supported {
		// Clients below v4 cannot read a minimum of 0 (KAFKA-17011): such a feature is left out for them.
		if version < 4 && r.Min == 0 {
			continue
		}
		sf := kmsg.NewApiVersionsResponseSupportedFeature()
		sf.Name, sf.MinVersion, sf.MaxVersion = r.Name, r.Min, r.Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, sf)
	}
	for _, l := range f.Finalized {
		ff := kmsg.NewApiVersionsResponseFinalizedFeature()
		ff.Name, ff.MinVersionLevel, ff.MaxVersionLevel = l.Name, l.Level, l.Level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, ff)
	}
	resp.FinalizedFeaturesEpoch = f.Epoch
}

// apiVersionsUnknown answers a version that is too new: in v0, which every client reads, with the range to try again.
func (s *Server) apiVersionsUnknown(_ context.Context, c *Call) Response {
	c.Version = 0
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MaxVersion = int16(kmsg.ApiVersions), maxApiVersions
	resp.ApiKeys = append(resp.ApiKeys, k)
	return resp
}

// softwareName is Kafka's rule for a client's software name and version: letters, digits, dashes and dots, with a letter
// or digit at both ends.
func softwareName(s string) bool {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	if s == "" || !alnum(s[0]) || !alnum(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !alnum(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}
