package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/headrace/headrace/internal/base/histogram"
)

// family is a Def with what Prometheus wants of it.
type family struct {
	Def
	desc *prometheus.Desc
}

func families(defs []Def) map[string]*family {
	all := make(map[string]*family, len(defs))
	for _, d := range defs {
		all[d.Name] = &family{d, prometheus.NewDesc(d.Name, d.Help, d.Labels, nil)}
	}
	return all
}

// sink is where a scrape's samples go.
type sink struct {
	families map[string]*family
	to       chan<- prometheus.Metric
}

// labels are values in the order of a family's labels, which is sorted. Many samples share them.
type labels []*dto.LabelPair

// label makes the labels of the named family.
func (s sink) label(name string, values ...string) labels {
	f := s.families[name]
	ls := make(labels, len(values))
	for i := range values {
		values[i] = strings.ToValidUTF8(values[i], "\uFFFD") // a group's id is what its client sends; Prometheus takes no other
		ls[i] = &dto.LabelPair{Name: &f.Labels[i], Value: &values[i]}
	}
	return ls
}

// put gives out one sample with labels of its own. A name that Table does not have is a defect.
func (s sink) put(name string, value float64, values ...string) {
	s.sample(name, value, s.label(name, values...))
}

func (s sink) sample(name string, value float64, ls labels) {
	s.to <- &sample{s.families[name], ls, value}
}

// yes gives out 1 or 0.
func (s sink) yes(name string, is bool, ls labels) {
	value := 0.0
	if is {
		value = 1
	}
	s.sample(name, value, ls)
}

func (s sink) times(name string, h histogram.Snapshot, values ...string) {
	s.to <- prometheus.MustNewConstHistogram(s.families[name].desc, h.Count(), h.Sum.Seconds(), h.Cumulative(), values...)
}

// sample is a prometheus.Metric that costs little: a scrape makes tens of thousands.
type sample struct {
	family *family
	labels labels
	value  float64
}

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.family.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	if s.family.Kind == Counter {
		m.Counter = &dto.Counter{Value: &s.value}
		return nil
	}
	m.Gauge = &dto.Gauge{Value: &s.value}
	return nil
}
