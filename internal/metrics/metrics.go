package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/longshore-queue/longshore/internal/buildinfo"
)

const (
	// namespace is what the name of every metric begins with, but those of Go and of the process.
	namespace = "longshore"
	// scrapeTimeout bounds one scrape, and scrapesAtOnce how many there may be.
	scrapeTimeout = 10 * time.Second
	scrapesAtOnce = 3
)

// Registry has all metrics of one server.
type Registry struct {
	registry *prometheus.Registry
	factory  factory

	Jobs     *Jobs
	Requests *Requests
}

// New returns a registry that nothing was told yet.
func New(build buildinfo.Info) *Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	f := factory{registry}
	f.gaugeVec("build_info", "What the program was built of. Always 1.", "version", "commit", "go_version").
		WithLabelValues(build.Version, build.Commit, build.Go).Set(1)
	return &Registry{registry: registry, factory: f, Jobs: newJobs(f), Requests: newRequests(f)}
}

// Handler answers scrapes. What cannot be found out at the moment is left out.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	})
}

// factory makes metrics, and registers them.
type factory struct{ registry prometheus.Registerer }

func (f factory) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.registry.MustRegister(v)
	return v
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.gaugeVec(name, help).WithLabelValues()
}

func (f factory) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.registry.MustRegister(v)
	return v
}

// histogramVec makes histograms that are native, for those who scrape in the format that has them, and
// have the given buckets as well, for the others.
func (f factory) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	f.registry.MustRegister(v)
	return v
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Observer {
	return f.histogramVec(name, help, buckets).WithLabelValues()
}

// The buckets of classic histograms, in seconds but for the sizes.
func answerBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
}

func storeBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
}

func jobBuckets() []float64 {
	return []float64{.005, .025, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400}
}

func sizeBuckets() []float64 { return []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024} }
