//go:build linux

package main

import "testing"

func TestFaultsAreChosenByName(t *testing.T) {
	names := map[string]bool{}
	for _, f := range catalogue() {
		if names[f.name] || f.strike == nil || f.most <= f.least {
			t.Errorf("%s: twice, or without deed or time", f.name)
		}
		names[f.name] = true
	}
	if all, err := chooseFaults("all", false); err != nil || len(all) != len(names) {
		t.Errorf("all: %d of %d, %v", len(all), len(names), err)
	}
	if some, err := chooseFaults("power-all,kill-all", false); err != nil || len(some) != 2 || some[0].name != "power-all" {
		t.Errorf("%v %v", some, err)
	}
	for _, f := range must(chooseFaults("all", true)) {
		if f.isolated {
			t.Errorf("%s is chosen without disks and networks", f.name)
		}
	}
	if _, err := chooseFaults("power-all", true); err == nil {
		t.Error("a power cut without disks")
	}
	if _, err := chooseFaults("flood", false); err == nil {
		t.Error("a fault that there is not")
	}
}

func must(list []fault, err error) []fault {
	if err != nil {
		panic(err)
	}
	return list
}

func TestQuantiles(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3}
	if quantile(v, 0.5) != 3 || quantile(v, 1) != 5 || quantile(v, 0) != 1 || quantile(nil, 0.5) != 0 {
		t.Error(quantile(v, 0.5), quantile(v, 1), quantile(v, 0))
	}
}
