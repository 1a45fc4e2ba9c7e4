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

// makeInvoker makes the road to code.
func (d *Daemon) makeInvoker() {
	d.invoker = &invoke.Invoker{Functions: d.functions, Environments: d.pool}
	if d.metrics != nil {
		d.invoker.Meter = d.metrics
	}
}

// unreserved tells of the executions without reserved concurrency; of the account and region that hotaru env prints also
// where there are none.
func (d *Daemon) unreserved(tell func(account, region string, executions int)) {
	tell(d.config.Account, d.config.Region, 0)
	d.invoker.Unreserved(tell)
}

// serveMetrics opens the listener that Prometheus reads from: one of its own, because every request on the port is
// signed.
func (d *Daemon) serveMetrics() error {
	if d.metrics == nil {
		return nil
	}
	d.metrics.Watch(metrics.Sources{
		Environments: d.pool.Size, Blanks: d.stock.Size, LogEventsDropped: d.logs.Dropped, LogBytesPending: d.logs.Pending,
		LogDeliveries: d.logsAPI.Deliveries, Unreserved: d.unreserved, Hulls: d.drivers.prepared,
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
