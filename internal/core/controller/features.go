package controller

import (
	"maps"
	"slices"

	"github.com/headrace/headrace/internal/core/metadata"
)

// metadataVersion comes first in a log: it tells a reader which records to expect.
const metadataVersion = "metadata.version"

func (s *step) bootstrap() Bootstrapped {
	if len(s.img.Features()) > 0 {
		return Bootstrapped{}
	}
	names := sortedKeys(s.cfg.Features)
	if i := slices.Index(names, metadataVersion); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, metadataVersion)
	}
	for _, name := range names {
		s.add(&metadata.FeatureLevelRecord{Name: name, Level: s.cfg.Features[name]})
	}
	return Bootstrapped{}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
