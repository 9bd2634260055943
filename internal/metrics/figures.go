package metrics

import "github.com/prometheus/client_golang/prometheus"

// figure is one of the numbers that can be read of a part of the server.
type figure[S any] struct {
	name, help string
	total      bool // it only grows
	of         func(S) float64
}

// figures reads all figures of a part at once, whenever they are asked for.
type figures[S any] struct {
	read  func() (S, error)
	all   []figure[S]
	descs []*prometheus.Desc
}

func addFigures[S any](r *Registry, read func() (S, error), all []figure[S]) {
	f := &figures[S]{read: read, all: all}
	for _, one := range all {
		f.descs = append(f.descs, prometheus.NewDesc(namespace+"_"+one.name, one.help, nil, nil))
	}
	r.registry.MustRegister(f)
}

// Describe implements prometheus.Collector.
func (f *figures[S]) Describe(to chan<- *prometheus.Desc) {
	for _, d := range f.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector. Figures that cannot be read are left out.
func (f *figures[S]) Collect(to chan<- prometheus.Metric) {
	stats, err := f.read()
	if err != nil {
		return
	}
	for i, one := range f.all {
		kind := prometheus.GaugeValue
		if one.total {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(f.descs[i], kind, one.of(stats))
	}
}
