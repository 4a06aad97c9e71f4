module abt2.dev/lane/zookeeper

go 1.26.0
