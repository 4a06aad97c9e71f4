module abt2.dev/lane/disconf

go 1.26.0
