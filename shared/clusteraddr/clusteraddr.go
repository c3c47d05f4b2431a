// SPDX-License-Identifier: MPL-2.0

// Package clusteraddr reads the address of a cluster port, which an operator or another
// cluster has given.
package clusteraddr

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// Max bounds an address, in bytes.
const Max = 512

// Check accepts what HostPort reads.
func Check(addr string) error {
	_, err := HostPort(addr)
	return err
}

// HostPort is the host:port of an address: an https URL without anything after the port,
// or host:port itself. It is InvalidInput for anything else.
func HostPort(addr string) (string, error) {
	refuse := func(why string) (string, error) {
		shown := addr
		if len(shown) > Max {
			shown = shown[:Max] + "..."
		}
		return "", replication.Errorf(replication.InvalidInput, "%q is not a cluster address: %s; use https://host:port or "+
			"host:port", shown, why)
	}
	if addr == "" || len(addr) > Max {
		return refuse("it is empty or too long")
	}
	for _, r := range addr {
		if r <= ' ' || r > '~' {
			return refuse("it has characters that no address has")
		}
	}
	hostPort := addr
	if strings.Contains(addr, "://") {
		u, err := url.Parse(addr)
		if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			(u.Path != "" && u.Path != "/") {
			return refuse("it is not an https URL of a host and port alone")
		}
		hostPort = u.Host
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || host == "" {
		return refuse("it has no host and port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return refuse("its port is not a number from 1 to 65535")
	}
	return hostPort, nil
}
