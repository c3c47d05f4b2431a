// SPDX-License-Identifier: MPL-2.0

package activation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// pemMax bounds a file of certificates in bytes.
const pemMax = 4 << 20

// roots returns the certificates to verify the primary's API with: those of
// caFile and of the files in the directory caPath, or nil, which means the
// system's, when neither is given. Its errors tell what is on this node's disk: they
// are for the log, not for the client (see [Client.connect]).
func roots(caFile, caPath string) (*x509.CertPool, error) {
	if caFile == "" && caPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if caFile != "" {
		data, err := readPEM(caFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file %q cannot be read: %w", caFile, plainCause(err))
		}
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("ca_file %q holds no PEM certificate", caFile)
		}
	}
	if caPath == "" {
		return pool, nil
	}
	entries, err := os.ReadDir(caPath)
	if err != nil {
		return nil, fmt.Errorf("ca_path %q cannot be read: %w", caPath, plainCause(err))
	}
	found := false
	for _, entry := range entries {
		name := filepath.Join(caPath, entry.Name())
		// Stat follows the links that c_rehash makes.
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := readPEM(name)
		if err != nil {
			return nil, fmt.Errorf("file %q in ca_path cannot be read: %w", entry.Name(), plainCause(err))
		}
		found = pool.AppendCertsFromPEM(data) || found
	}
	if !found {
		return nil, fmt.Errorf("ca_path %q holds no file with a PEM certificate", caPath)
	}
	return pool, nil
}

func readPEM(name string) ([]byte, error) {
	// Anything but a regular file could block for ever, or not end.
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, pemMax+1))
	if err == nil && len(data) > pemMax {
		err = errors.New("it is larger than 4 MiB")
	}
	return data, err
}

// plainCause drops the operation and the path, which the sentence already has.
func plainCause(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
