// SPDX-License-Identifier: MPL-2.0

package primary

import (
	"errors"
	"time"

	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
)

// farewellPatience bounds how long a demoted primary waits until its secondaries have heard of the demotion.
const farewellPatience = time.Second

// errDemoted ends the streams of a primary that is demoted.
var errDemoted = errors.New("this cluster is the primary no more")

// sayDemoted tells all streaming secondaries of the demotion. A secondary that knows is
// promoted without waiting for its primary to come back.
func (s *Server) sayDemoted() {
	s.leave()
	said := make(chan struct{})
	s.background.Go(func() {
		s.sessions.words.Wait()
		close(said)
	})
	select {
	case <-said:
	case <-time.After(farewellPatience):
	}
}

// bidFarewell sends the last message of a stream. The secondary closes the connection, because the message could be
// lost if this end closed it.
func bidFarewell(st frameStream, pc *peerConn) error {
	if err := st.Send(&linkv1.StreamResponse{Demoted: true}); err != nil {
		return err
	}
	select {
	case <-pc.done:
	case <-st.Context().Done():
	case <-time.After(farewellPatience):
	}
	return nil
}
