// SPDX-License-Identifier: MPL-2.0

package load

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/vault/api"
)

// Mount is the KV version 1 engine that the writers use.
const Mount = "load"

// Writers write until they are stopped or the server answers no more.
type Writers struct {
	clock  clock
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	journal []Write
}

// Prepare mounts the engine.
func Prepare(ctx context.Context, client *api.Client) error {
	return client.Sys().MountWithContext(ctx, Mount, &api.MountInput{Type: "kv"})
}

// Start begins writing from count clients that are made by newClient.
func Start(ctx context.Context, newClient func() *api.Client, count int) *Writers {
	ctx, cancel := context.WithCancel(ctx)
	w := &Writers{cancel: cancel}
	for i := range count {
		client := newClient()
		w.wg.Go(func() { w.run(ctx, client, i) })
	}
	return w
}

func (w *Writers) run(ctx context.Context, client *api.Client, writer int) {
	for number := 0; ctx.Err() == nil; number++ {
		attempt := Write{Writer: writer, Number: number, Begun: w.clock.tick()}
		path := fmt.Sprintf("%s/single/%d/%d", Mount, writer, number)
		if attempt.Hot() {
			path = fmt.Sprintf("%s/hot/%d", Mount, writer)
		}
		_, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"n": strconv.Itoa(number)})
		if err == nil {
			attempt.Acknowledged = w.clock.tick()
		}
		w.mu.Lock()
		w.journal = append(w.journal, attempt)
		w.mu.Unlock()
		if err != nil {
			// It is not known whether the last write happened. Going on with the next
			// number would be a new history.
			return
		}
	}
}

// Acknowledged is how many writes were acknowledged so far, and the moment.
func (w *Writers) Acknowledged() (count int, moment uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.journal {
		if a.Acknowledged != 0 {
			count++
		}
		moment = max(moment, a.Acknowledged)
	}
	return count, moment
}

// Stop ends the writers and returns their journal.
func (w *Writers) Stop() []Write {
	w.cancel()
	w.wg.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.journal
}

// Read reads what a Vault holds of the writers' work.
func Read(ctx context.Context, client *api.Client) (Content, error) {
	content := Content{Hot: map[int]int{}, Single: map[int]map[int]bool{}}
	hot, err := list(ctx, client, Mount+"/hot")
	if err != nil {
		return content, err
	}
	for _, writer := range hot {
		secret, err := client.Logical().ReadWithContext(ctx, fmt.Sprintf("%s/hot/%d", Mount, writer))
		if err != nil {
			return content, err
		}
		if content.Hot[writer], err = strconv.Atoi(fmt.Sprint(secret.Data["n"])); err != nil {
			return content, err
		}
	}
	writers, err := list(ctx, client, Mount+"/single")
	if err != nil {
		return content, err
	}
	for _, writer := range writers {
		numbers, err := list(ctx, client, fmt.Sprintf("%s/single/%d", Mount, writer))
		if err != nil {
			return content, err
		}
		content.Single[writer] = map[int]bool{}
		for _, n := range numbers {
			content.Single[writer][n] = true
		}
	}
	return content, nil
}

func list(ctx context.Context, client *api.Client, path string) ([]int, error) {
	secret, err := client.Logical().ListWithContext(ctx, path)
	if err != nil || secret == nil {
		return nil, err
	}
	raw, err := json.Marshal(secret.Data["keys"])
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		n, err := strconv.Atoi(strings.TrimSuffix(name, "/"))
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
