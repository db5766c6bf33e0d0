module berth.test/gvisor

go 1.26.3

require (
	github.com/google/subcommands v1.2.0 // indirect
	gvisor.dev/gvisor v0.0.0-20260701204157-69c2d17aea96 // indirect
)
