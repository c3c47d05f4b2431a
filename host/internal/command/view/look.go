// SPDX-License-Identifier: MPL-2.0

package view

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// askLimit bounds each question, so that a cluster that is dead is shown as dead.
	askLimit = 5 * time.Second
	// clustersMost bounds how many clusters are asked, because the status of an unknown cluster may name any addresses.
	clustersMost = 64
)

// Connect makes a client of an address. It is asked for a client with the caller's token
// for addresses that the caller has given, and for one without for all others.
type Connect func(address string, given bool) (*api.Client, error)

// Look asks the given addresses, and then what they name, until nothing new is named. A
// cluster that was reached by several addresses is listed once, by the first. First come the
// given addresses in their order, then what they name.
func Look(ctx context.Context, connect Connect, addresses ...string) []*Cluster {
	var (
		out   []*Cluster
		asked = map[string]bool{}
		known = map[string]bool{}
		given = true
	)
	for wave := unasked(asked, addresses); len(wave) > 0; {
		var named []string
		for _, c := range ask(ctx, connect, wave, given) {
			if known[c.identity()] || len(out) == clustersMost {
				continue
			}
			known[c.identity()], asked[c.identity()] = true, true
			out = append(out, c)
			named = append(named, c.names()...)
		}
		wave, given = unasked(asked, named), false
	}
	return out
}

// unasked are the addresses that were not asked yet. It marks them as asked.
func unasked(asked map[string]bool, addresses []string) []string {
	var out []string
	for _, a := range addresses {
		if a = strings.TrimRight(a, "/"); a != "" && !asked[a] {
			asked[a] = true
			out = append(out, a)
		}
	}
	return out[:min(len(out), clustersMost)]
}

// names are the API addresses of the clusters that this one has a session with.
func (c *Cluster) names() []string {
	var out []string
	for _, m := range []*Mode{&c.DR, &c.Performance} {
		for _, p := range slices.Concat(m.Primaries, m.Secondaries) {
			out = append(out, p.APIAddress)
		}
	}
	return out
}

func ask(ctx context.Context, connect Connect, addresses []string, given bool) []*Cluster {
	out := make([]*Cluster, len(addresses))
	var wg sync.WaitGroup
	for i, address := range addresses {
		wg.Go(func() {
			client, err := connect(address, given)
			if err != nil {
				out[i] = &Cluster{Address: address, Error: err.Error()}
				return
			}
			out[i] = Ask(ctx, client)
		})
	}
	wg.Wait()
	return out
}

// Ask asks one cluster. It does not fail: the answer has an Error.
func Ask(ctx context.Context, client *api.Client) *Cluster {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c := &Cluster{Address: client.Address()}
	if err := c.ask(ctx, client); err != nil {
		return &Cluster{Address: c.Address, Error: oneLine(err)}
	}
	return c
}

func (c *Cluster) ask(ctx context.Context, client *api.Client) error {
	health, err := client.Sys().HealthWithContext(ctx)
	if err != nil {
		return err
	}
	c.Name, c.Version, c.Sealed = health.ClusterName, health.Version, health.Sealed
	if c.Sealed {
		return nil
	}
	leader, err := client.Sys().LeaderWithContext(ctx)
	if err != nil {
		return err
	}
	c.Active = leader.LeaderAddress
	resp, err := client.Logical().ReadRawWithContext(ctx, "sys/replication/status")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			DR          Mode `json:"dr"`
			Performance Mode `json:"performance"`
		} `json:"data"`
	}
	if err := resp.DecodeJSON(&answer); err != nil {
		return err
	}
	c.DR, c.Performance = answer.Data.DR, answer.Data.Performance
	return nil
}

// oneLine is an error without the address, which is said beside it, and without line ends.
func oneLine(err error) string {
	if of := (*url.Error)(nil); errors.As(err, &of) {
		err = of.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
