// Command stargz is the stargz snapshotter's published library behind a socket, and its converter, for our tests:
//
//	stargz serve SOCKET ROOT                            serves the snapshots API until it is killed
//	stargz convert ADDRESS NAMESPACE REFERENCE TARGET   makes an eStargz image of one that a containerd has
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/snapshotservice"
	"github.com/containerd/containerd/v2/core/images/converter"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/stargz-snapshotter/fs/config"
	"github.com/containerd/stargz-snapshotter/nativeconverter/estargz"
	"github.com/containerd/stargz-snapshotter/service"
	"google.golang.org/grpc"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, words []string) error {
	switch {
	case len(words) == 3 && words[0] == "serve":
		return serve(ctx, words[1], words[2])
	case len(words) == 5 && words[0] == "convert":
		return convert(ctx, words[1], words[2], words[3], words[4])
	}
	return fmt.Errorf("usage: stargz serve SOCKET ROOT | stargz convert ADDRESS NAMESPACE REFERENCE TARGET")
}

// serve fetches nothing before it is read, so that a test can tell what was.
func serve(ctx context.Context, socket, root string) error {
	lazy := service.Config{Config: config.Config{NoPrefetch: true, NoBackgroundFetch: true, NoPrometheus: true}}
	snapshotter, err := service.NewStargzSnapshotterService(ctx, root, &lazy)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	snapshotsapi.RegisterSnapshotsServer(server, snapshotservice.FromSnapshotter(snapshotter))
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

func convert(ctx context.Context, address, namespace, reference, target string) error {
	daemon, err := client.New(address)
	if err != nil {
		return err
	}
	defer daemon.Close()
	ctx, done, err := daemon.WithLease(namespaces.WithNamespace(ctx, namespace))
	if err != nil {
		return err
	}
	defer done(ctx)
	_, err = converter.Convert(ctx, daemon, target, reference,
		converter.WithLayerConvertFunc(estargz.LayerConvertFunc()), converter.WithDockerToOCI(true))
	return err
}
