// SPDX-License-Identifier: MPL-2.0

package entity

import (
	"context"
	"time"
)

// patienceInside bounds questions that the identity store asks while it holds its locks.
// Meanwhile it cannot take up rows that arrive.
const patienceInside = 10 * time.Second

// ChangeMembers changes an external group on the primary. The identity store
// calls it when a group changed between [Secondary.AfterAuth] and the core's own
// comparison.
func (s *Secondary) ChangeMembers(ctx context.Context, groupID string, add, remove []string) error {
	ctx, cancel := context.WithTimeout(ctx, patienceInside)
	defer cancel()
	_, _, err := s.call(ctx, KindMembers, encode(Members{GroupID: groupID, Add: add, Remove: remove}))
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// CreateEntity makes an empty entity on the primary and returns it as stored. The identity
// store calls it for an alias that is made through the API on a local mount, and keeps a
// copy. That copy is removed once the entity has arrived here.
func (s *Secondary) CreateEntity(ctx context.Context) ([]byte, error) {
	inside, cancel := context.WithTimeout(ctx, patienceInside)
	defer cancel()
	answer, at, err := s.call(inside, KindCreate, encode(Entity{}))
	if err != nil {
		return nil, unavailable(err)
	}
	later, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	go func() {
		defer stop()
		if err := s.waiter.Wait(later, at); err != nil {
			s.logger.Info("an entity made on the primary has not arrived yet; it is kept here until it has", "entity_id",
				answer.ID, "error", err)
			return
		}
		if err := s.store.SettleEntity(later, answer.ID); err != nil {
			s.logger.Warn("an entity has arrived, but the copy kept until then could not be removed", "entity_id", answer.ID,
				"error", err)
		}
	}()
	return answer.Stored, nil
}
