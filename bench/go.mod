module github.com/longshore-queue/longshore/bench

go 1.26.0

replace github.com/longshore-queue/longshore => ../

require github.com/longshore-queue/longshore v0.0.0
