module abt2.dev/lane/disconf

go 1.26.0

require (
	abt2.dev/lane/zookeeper v0.0.0
	github.com/go-zookeeper/zk v1.0.4
	go.uber.org/goleak v1.3.0
)

replace abt2.dev/lane/zookeeper => ../zookeeper
