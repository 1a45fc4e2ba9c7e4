package daemon

import (
	"context"
	"errors"
	"fmt"

	"hotaru/function"
	"hotaru/invoke"
	"hotaru/metrics"
)

// makeMetrics comes before everything that is measured. Where nobody may read metrics there are none.
func (d *Daemon) makeMetrics() {
	if d.config.Metrics != "" {
		d.metrics = metrics.New(metrics.Options{Known: d.knows, Logger: d.logger})
	}
}

// knows says whether a version of a function is there.
func (d *Daemon) knows(id function.ID, version string) bool {
	_, err := d.functions.Serving(context.Background(), id, version)
	refusal := (*function.Error)(nil)
	return !errors.As(err, &refusal) || refusal.Code != function.ErrResourceNotFound
}

// invoker is the road to code.
func (d *Daemon) invoker() *invoke.Invoker {
	i := &invoke.Invoker{Functions: d.functions, Environments: d.pool}
	if d.metrics != nil {
		i.Meter = d.metrics
	}
	return i
}

// serveMetrics opens the listener that Prometheus reads from: one of its own, because every request on the port is
// signed.
func (d *Daemon) serveMetrics() error {
	if d.metrics == nil {
		return nil
	}
	d.metrics.Watch(metrics.Sources{
		Environments: d.pool.Size, Blanks: d.stock.Size, LogEventsDropped: d.logs.Dropped, LogBytesPending: d.logs.Pending,
		LogDeliveries: d.logsAPI.Deliveries,
	})
	listeners, err := listen(d.config.Metrics)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	server := d.config.limits().NewServer(d.front.Beside(d.metrics), d.logger)
	d.onClose(func(ctx context.Context) error {
		if server.Shutdown(ctx) == nil {
			return nil
		}
		return server.Close() // a reader that has not ended in time
	})
	for _, l := range listeners {
		d.serveOn(server, l)
	}
	d.metricsURL = "http://" + reachable(listeners[0]) + "/metrics"
	d.logger.Info("serving metrics", "url", d.metricsURL)
	return nil
}
