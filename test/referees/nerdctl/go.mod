module berth.test/nerdctl

go 1.26.3

require github.com/containerd/nerdctl/v2 v2.2.1
