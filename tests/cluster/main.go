// One program with the parts of a Kubernetes cluster: it is the part that its own name names, or
// its first argument. One build is a fraction of the time and the size of seven.
package main

import (
	"context"
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
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	if !run(name) && (len(os.Args) < 2 || !run(shifted())) {
		fmt.Fprintln(os.Stderr, "usage: kube-one PART ARGUMENTS; PART is etcd, kubectl, kubelet, kube-apiserver,")
		fmt.Fprintln(os.Stderr, "kube-controller-manager, kube-scheduler or kube-proxy")
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
	case "kubelet":
		component(kubelet.NewKubeletCommand(context.Background()))
	case "kube-apiserver":
		component(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		component(controllers.NewControllerManagerCommand())
	case "kube-scheduler":
		component(scheduler.NewSchedulerCommand())
	case "kube-proxy":
		component(proxy.NewProxyCommand())
	default:
		return false
	}
	return true
}

func component(command *cobra.Command) {
	os.Exit(cli.Run(command))
}
