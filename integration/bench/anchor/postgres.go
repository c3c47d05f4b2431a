// SPDX-License-Identifier: MPL-2.0

package anchor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/vault-replication/vault-replication/integration/postgres"
)

// Load is how a pair is written and probed, the same for every pair.
type Load struct {
	Rate, Writers int
	Keys          int
	ProbeEvery    time.Duration
	Duration      time.Duration
}

// Pair is a PostgreSQL primary and its standby with PostgreSQL's own defaults: a commit is synced to
// the primary's disk, and the standby is not waited for.
type Pair struct{ primary, standby *postgres.Server }

// OpenPair starts both.
func OpenPair(ctx context.Context) (*Pair, error) {
	primary, err := postgres.Start(ctx, nil)
	if err != nil {
		return nil, err
	}
	p := &Pair{primary: primary}
	if _, err := primary.Query(ctx, primary.Admin, primary.Password,
		"CREATE TABLE bench (key TEXT PRIMARY KEY, value TEXT)"); err != nil {
		p.Close()
		return nil, err
	}
	if p.standby, err = primary.Standby(ctx, nil); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close ends both.
func (p *Pair) Close() {
	if p.standby != nil {
		p.standby.Stop()
	}
	p.primary.Stop()
}

const upsert = "INSERT INTO bench VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

// Lag writes at the rate and takes the times from the answer to a commit on the primary until the
// standby returns the value, that read included.
func (p *Pair) Lag(ctx context.Context, l Load) ([]time.Duration, error) {
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	var load errgroup.Group
	for i := range l.Writers {
		load.Go(func() error { return p.write(loadCtx, l, i) })
	}
	lags, err := p.probe(ctx, l)
	stop()
	return lags, errors.Join(err, load.Wait())
}

// write is one writer at its share of the rate.
func (p *Pair) write(ctx context.Context, l Load, writer int) error {
	conn, err := pgx.Connect(ctx, p.primary.Plain())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	value := strings.Repeat("x", valueBytes)
	ticker := time.NewTicker(time.Second * time.Duration(l.Writers) / time.Duration(l.Rate))
	defer ticker.Stop()
	for n := writer; ; n += l.Writers {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := conn.Exec(ctx, upsert, fmt.Sprintf("%06d", n%l.Keys), value); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (p *Pair) probe(ctx context.Context, l Load) ([]time.Duration, error) {
	there, err := pgx.Connect(ctx, p.primary.Plain())
	if err != nil {
		return nil, err
	}
	defer func() { _ = there.Close(context.WithoutCancel(ctx)) }()
	here, err := pgx.Connect(ctx, p.standby.Plain())
	if err != nil {
		return nil, err
	}
	defer func() { _ = here.Close(context.WithoutCancel(ctx)) }()
	ticker := time.NewTicker(l.ProbeEvery)
	defer ticker.Stop()
	var lags []time.Duration
	for n, end := 0, time.Now().Add(l.Duration); n == 0 || time.Now().Before(end); n++ {
		want := fmt.Sprint(n)
		if _, err := there.Exec(ctx, upsert, "probe", want); err != nil {
			return nil, err
		}
		answered := time.Now()
		for got := ""; got != want; {
			err := here.QueryRow(ctx, "SELECT value FROM bench WHERE key = 'probe'").Scan(&got)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return nil, err
			}
		}
		lags = append(lags, time.Since(answered))
		<-ticker.C
	}
	return lags, nil
}
