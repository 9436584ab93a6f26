// One program with the parts of a Kubernetes control plane: it is the part that its own name
// names, or its first argument. One build is a fraction of the time and the size of four.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	if !run(name) && (len(os.Args) < 2 || !run(shifted())) {
		fmt.Fprintln(os.Stderr, "usage: kube-one etcd|kube-apiserver|kube-controller-manager|kubectl ARGUMENTS")
		os.Exit(2)
	}
}

// shifted drops our own name, so that the first argument becomes the part's.
func shifted() string {
	os.Args = os.Args[1:]
	return os.Args[0]
}

// run becomes the named part; false if there is no such part.
func run(name string) bool {
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		// As kubectl's own main does: its errors know how they want to be shown.
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	case "kube-apiserver":
		component(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		component(controllers.NewControllerManagerCommand())
	default:
		return false
	}
	return true
}

func component(command *cobra.Command) {
	os.Exit(cli.Run(command))
}
