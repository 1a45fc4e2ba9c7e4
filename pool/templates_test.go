package pool

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hotaru/sandbox"
)

// fakeTemplate is a template of 10 MiB that does nothing.
type fakeTemplate struct {
	done   chan struct{}
	closed atomic.Bool
}

func (f *fakeTemplate) Done() <-chan struct{}       { return f.done }
func (f *fakeTemplate) MemoryBytes() (int64, error) { return 10 << 20, nil }
func (f *fakeTemplate) Close() error                { f.closed.Store(true); return nil }

// templater starts templates and counts how often it was asked.
type templater struct {
	*Templates
	t      *testing.T
	err    error
	starts int
	takes  time.Duration
	made   []*fakeTemplate
	budget *Budget
}

func newTemplater(t *testing.T) *templater {
	budget := NewBudget(1<<30, func() (int64, bool) { return 0, false })
	m := &templater{t: t, budget: budget, Templates: NewTemplates(TemplateLimits{Budget: budget}, slog.New(slog.DiscardHandler))}
	t.Cleanup(m.Close)
	return m
}

func (m *templater) start(context.Context) (sandbox.Template, error) {
	m.starts++
	<-time.After(m.takes)
	if m.err != nil {
		return nil, m.err
	}
	made := &fakeTemplate{done: make(chan struct{})}
	m.made = append(m.made, made)
	return made, nil
}

// want wants so many at once, and has what that leads to happen.
func (m *templater) want(key TemplateKey, times int) (got sandbox.Template) {
	m.t.Helper()
	for range times {
		got = m.Want(key, m.start)
	}
	synctest.Wait()
	return got
}

// await awaits one, and expects to be kept waiting for so long, and to get one or not.
func (m *templater) await(key TemplateKey, takes time.Duration, found bool) {
	m.t.Helper()
	began := time.Now()
	got := m.Await(context.Background(), key, m.start)
	if took := time.Since(began); took != takes || (got != nil) != found {
		m.t.Errorf("waited %v and got %v; want %v, %v", took, got, takes, found)
	}
}

func (m *templater) expect(what string, starts, size int, used int64) {
	m.t.Helper()
	synctest.Wait()
	if m.starts != starts || m.Size() != size || m.budget.Used() != used {
		m.t.Errorf("%s: %d starts, %d templates, %d bytes taken; want %d, %d, %d",
			what, m.starts, m.Size(), m.budget.Used(), starts, size, used)
	}
}

const each = 10<<20 + overhead

func TestTemplates(t *testing.T) {
	key, other := TemplateKey{Owner: "a", Program: "p"}, TemplateKey{Owner: "b", Program: "p"}
	for name, test := range map[string]func(*templater){
		"few do not make one": func(m *templater) {
			for range 6 {
				m.want(key, 3)
				<-time.After(2 * time.Second)
			}
			m.expect("slowly", 0, 0, 0)
		},
		"a burst makes one, for its owner alone": func(m *templater) {
			if m.want(key, 4) != nil {
				m.t.Error("somebody has waited for it")
			}
			m.expect("a burst", 1, 1, each)
			if got := m.want(key, 1); got != m.made[0] {
				m.t.Errorf("the next gets %v", got)
			}
			if got := m.want(other, 1); got != nil {
				m.t.Errorf("another owner gets %v", got)
			}
			m.want(key, 100)
			m.expect("more", 1, 1, each)
		},
		"it goes when nobody wants it": func(m *templater) {
			m.want(key, 4)
			<-time.After(30 * time.Second)
			m.want(key, 1)
			<-time.After(50 * time.Second)
			m.expect("in use", 1, 1, each)
			<-time.After(30 * time.Second)
			m.expect("out of use", 1, 0, 0)
			if !m.made[0].closed.Load() {
				m.t.Error("it is not closed")
			}
		},
		"one that has died is replaced": func(m *templater) {
			m.want(key, 4)
			close(m.made[0].done)
			if m.want(key, 1) != nil {
				m.t.Error("a dead one is handed out")
			}
			m.expect("afterwards", 2, 1, each)
		},
		"one that has died without anybody looking is removed": func(m *templater) {
			m.want(key, 4)
			close(m.made[0].done)
			<-time.After(20 * time.Second)
			m.expect("afterwards", 1, 0, 0)
		},
		"one that refuses is given up for a while": func(m *templater) {
			m.want(key, 4)
			m.Refuse(key, m.made[0])
			m.Refuse(key, m.made[0])
			m.want(key, 10)
			m.expect("refused", 1, 0, 0)
			<-time.After(time.Minute)
			m.want(key, 4)
			m.expect("a minute later", 2, 1, each)
			m.Refuse(key, m.made[0]) // somebody who was late
			m.expect("an old refusal", 2, 1, each)
		},
		"one that cannot be started is tried again, one that never can is not": func(m *templater) {
			m.err = errors.New("no")
			m.want(key, 20)
			m.expect("failed", 1, 0, 0)
			<-time.After(time.Minute)
			m.err = errors.ErrUnsupported
			m.want(key, 4)
			m.expect("failed again", 2, 0, 0)
			<-time.After(10 * time.Minute)
			m.want(key, 20)
			m.expect("unsupported", 2, 0, 0)
		},
		"nobody waits who comes alone": func(m *templater) {
			m.takes = time.Hour
			for range 3 {
				m.await(key, 0, false)
			}
			m.expect("alone", 0, 0, 0)
		},
		"whoever would start a program waits for one that is being started": func(m *templater) {
			m.takes = 50 * time.Millisecond
			m.want(key, 4)
			m.await(other, 0, false)
			<-time.After(20 * time.Millisecond)
			m.await(key, 30*time.Millisecond, true)
			m.await(key, 0, true)
			m.expect("then", 1, 1, each)
		},
		"nobody waits for one that fails": func(m *templater) {
			m.takes, m.err = 50*time.Millisecond, errors.New("no")
			m.want(key, 4)
			m.await(key, 50*time.Millisecond, false)
			m.await(key, 0, false)
			m.expect("then", 1, 0, 0)
		},
		"nobody waits longer than it is worth": func(m *templater) {
			m.takes = time.Second
			m.want(key, 4)
			m.await(key, 250*time.Millisecond, false)
			m.await(key, 0, false)
			<-time.After(time.Second)
			m.await(key, 0, true)
		},
		"nor longer than he may": func(m *templater) {
			m.takes = time.Second
			m.want(key, 4)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			began := time.Now()
			if got := m.Await(ctx, key, m.start); got != nil || time.Since(began) != 10*time.Millisecond {
				m.t.Errorf("%v after %v", got, time.Since(began))
			}
		},
		"nor after the end": func(m *templater) {
			m.takes = 50 * time.Millisecond
			m.want(key, 4)
			go m.Close()
			synctest.Wait()
			m.await(key, 0, false)
			<-time.After(time.Second)
			m.expect("closed", 1, 0, 0)
		},
		"none is started where memory lacks": func(m *templater) {
			m.budget.correct(1 << 30)
			m.want(key, 20)
			m.expect("full", 0, 0, 1<<30)
		},
		"none after the end": func(m *templater) {
			m.want(key, 4)
			m.Close()
			m.expect("closed", 1, 0, 0)
			m.want(key, 20)
			m.expect("closed", 1, 0, 0)
		},
		"one that comes after the end is closed": func(m *templater) {
			for range 4 {
				m.Want(key, m.start)
			}
			m.Close()
			if len(m.made) == 1 && !m.made[0].closed.Load() {
				m.t.Error("it lives")
			}
			m.expect("closed", m.starts, 0, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(newTemplater(t)) })
		})
	}
	var none *Templates
	if none.Want(key, nil) != nil || none.Await(t.Context(), key, nil) != nil || none.Size() != 0 {
		t.Error("no templates give one")
	}
	none.Close()
}
