// SPDX-License-Identifier: MPL-2.0

package differential

// databases are the plugins of the database engine whose servers are not there. A
// connection that is not verified is stored and shown. It fails when it is used.
func databases() []Step {
	const user, password = "admin", "secret"
	plugins := []struct {
		name string
		body Body
	}{
		{"mysql", Body{"connection_url": "{{username}}:{{password}}@tcp(127.0.0.1:1)/"}},
		{"mysql-aurora", Body{"connection_url": "{{username}}:{{password}}@tcp(127.0.0.1:1)/"}},
		{"mysql-rds", Body{"connection_url": "{{username}}:{{password}}@tcp(127.0.0.1:1)/"}},
		{"mysql-legacy", Body{"connection_url": "{{username}}:{{password}}@tcp(127.0.0.1:1)/"}},
		{"postgresql", Body{"connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:1/x?sslmode=disable"}},
		{"redshift", Body{"connection_url": "postgresql://{{username}}:{{password}}@127.0.0.1:1/x?sslmode=disable"}},
		{"mssql", Body{"connection_url": "sqlserver://{{username}}:{{password}}@127.0.0.1:1"}},
		{"hana", Body{"connection_url": "hdb://{{username}}:{{password}}@127.0.0.1:1"}},
		{"mongodb", Body{"connection_url": "mongodb://{{username}}:{{password}}@127.0.0.1:1/admin"}},
		{"mongodbatlas", Body{"public_key": "p", "private_key": "k", "project_id": "i"}},
		{"cassandra", Body{"hosts": "127.0.0.1", "port": 1}},
		{"couchbase", Body{"hosts": "couchbase://127.0.0.1:1"}},
		{"elasticsearch", Body{"url": "http://127.0.0.1:1"}},
		{"influxdb", Body{"host": "127.0.0.1", "port": 1}},
		{"redis", Body{"host": "127.0.0.1", "port": 1}},
		{"redis-elasticache", Body{"url": "127.0.0.1:1", "region": "us-east-1"}},
		{"snowflake", Body{"connection_url": "{{username}}:{{password}}@account/db"}},
	}
	steps := []Step{mount("dbs", Body{"type": "database"})}
	for _, p := range plugins {
		body := Body{"plugin_name": p.name + "-database-plugin", "verify_connection": false, "allowed_roles": p.name,
			"username": user, "password": password}
		for key, value := range p.body {
			body[key] = value
		}
		steps = append(steps, write("dbs/config/"+p.name, body), read("dbs/config/"+p.name))
	}
	return append(steps,
		list("dbs/config"),
		write("dbs/roles/mysql", Body{"db_name": "mysql", "creation_statements": "CREATE USER '{{name}}'@'%' IDENTIFIED BY " +
			"'{{password}}'"}),
		read("dbs/creds/mysql").fails(500),
		remove("dbs/config/mysql"),
		read("dbs/creds/mysql").named("without a connection").fails(500),
		unmount("dbs").last(),
	)
}
