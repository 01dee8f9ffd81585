import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.apis.VersionApi;
import io.kubernetes.client.openapi.models.AuthenticationV1TokenRequest;
import io.kubernetes.client.openapi.models.V1BoundObjectReference;
import io.kubernetes.client.openapi.models.V1Namespace;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1ServiceAccount;
import io.kubernetes.client.openapi.models.V1TokenRequestSpec;
import io.kubernetes.client.openapi.models.VersionInfo;
import io.kubernetes.client.util.Config;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.opentest4j.TestAbortedException;

/**
 * A real API server: kube-apiserver and etcd of its own, or the cluster that {@code KUBECONFIG_TEST} names.
 * {@code KUBECONFIG} is never read: it may name a cluster that matters to somebody.
 */
final class RealServer implements TestServer {
    private static final Path FOREIGN = Optional.ofNullable(System.getenv("KUBECONFIG_TEST")).filter(value -> !value.isBlank())
        .map(Path::of).orElse(null);
    /** Whoever makes pods of workloads, cleans up after their owners and in deleted namespaces, and makes service accounts. */
    private static final List<String> CONTROLLERS = List.of("deployment-controller", "replicaset-controller",
        "statefulset-controller", "serviceaccount-controller", "namespace-controller", "garbage-collector-controller");

    private static Optional<ControlPlaneBinaries> binaries;
    private static String whyUnavailable;
    private static RealServer shared;

    private final Optional<ControlPlane> controlPlane;
    private final Path kubeconfig;
    /** Whether the admission plug-in ServiceAccount refuses pods until a controller has made their namespace's account. */
    private final boolean needsAccounts;
    private final Path folder = Folders.temporary("real-server");
    private final List<ServerProcess> controllerManagers = new ArrayList<>();
    private final List<String> namespaces = new ArrayList<>();
    private String cluster;

    private RealServer(Optional<ControlPlane> controlPlane, Path kubeconfig, boolean needsAccounts) {
        this.controlPlane = controlPlane;
        this.needsAccounts = needsAccounts;
        this.kubeconfig = kubeconfig;
    }

    /**
     * Why no real server is to be had, saying what was tried; empty if there is one. The first call looks for the programs,
     * which may build them. A server that does not start is not "unavailable": that is a failure.
     */
    static synchronized Optional<String> unavailable() {
        if (FOREIGN == null && binaries == null) {
            try {
                binaries = Optional.of(ControlPlaneBinaries.find());
            } catch (ControlPlaneBinaries.Unavailable e) {
                binaries = Optional.empty();
                whyUnavailable = e.getMessage();
            }
        }
        return Optional.ofNullable(whyUnavailable);
    }

    /** The server that the tests of this JVM share; started by the first call. */
    static synchronized RealServer shared() {
        if (shared == null) {
            shared = start();
        }
        return shared;
    }

    /**
     * Starts a server for one test alone, in some seconds. It is closed at the latest when the JVM shuts down; but since its
     * threads keep the JVM alive, somebody must call {@link #close} or {@code System.exit}.
     *
     * @param apiServerFlags further flags of kube-apiserver, such as {@code --watch-cache=false}; ignored on a foreign cluster
     */
    static RealServer start(String... apiServerFlags) {
        unavailable().ifPresent(reason -> {
            throw new TestAbortedException(reason);
        });
        Optional<ControlPlane> own = FOREIGN != null ? Optional.empty()
            : Optional.of(new ControlPlane(binaries.orElseThrow(), List.of(apiServerFlags)));
        RealServer server = new RealServer(own, own.map(ControlPlane::kubeconfig).orElse(FOREIGN),
            own.isEmpty() || List.of(apiServerFlags).contains(ControlPlane.SERVICE_ACCOUNTS));
        Runtime.getRuntime().addShutdownHook(new Thread(server::close));
        return server;
    }

    @Override
    public String title() {
        return (canStop() ? "kube-apiserver " : "cluster of KUBECONFIG_TEST, ") + version().getGitVersion();
    }

    /** Some providers add a sign to it, as in "34+". */
    @Override
    public int minorVersion() {
        return Integer.parseInt(version().getMinor().replaceAll("\\D", ""));
    }

    private VersionInfo version() {
        try {
            return new VersionApi(client()).getCode().execute();
        } catch (ApiException e) {
            throw failure("version", e);
        }
    }

    @Override
    public Path kubeconfig() {
        return kubeconfig;
    }

    @Override
    public ApiClient client() {
        try {
            return Config.fromConfig(controlPlane.map(ControlPlane::kubeconfigWithCertificate).orElse(kubeconfig).toString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Creates a namespace in which pods can be created at once; on a foreign cluster {@link #close} deletes it. */
    @Override
    public String newNamespace() {
        return newNamespace(Map.of());
    }

    /** The same with the restricted Pod Security Standard. */
    String newRestrictedNamespace() {
        return newNamespace(Map.of("pod-security.kubernetes.io/enforce", "restricted"));
    }

    private String newNamespace(Map<String, String> labels) {
        String name = "leader-labeler-" + UUID.randomUUID().toString().substring(0, 8);
        CoreV1Api core = new CoreV1Api(client());
        try {
            core.createNamespace(new V1Namespace().metadata(new V1ObjectMeta().name(name).labels(labels))).execute();
        } catch (ApiException e) {
            throw failure("create namespace " + name, e);
        }
        namespaces.add(name);
        if (needsAccounts) {
            Wait.until("service account default in " + name, Duration.ofSeconds(30), () -> exists(core, name));
        }
        return name;
    }

    @Override
    public boolean canStop() {
        return controlPlane.isPresent();
    }

    @Override
    public void stopServer() {
        own().stopApiServer();
    }

    @Override
    public void startServer() {
        own().startApiServer();
    }

    /** The API server's process, for signals; after {@link #startServer} it is another one. Not on a foreign cluster. */
    ProcessHandle apiServer() {
        return own().apiServer();
    }

    /** Stops the API server's process (SIGSTOP): connections stay open, requests hang. {@link #resumeServer} ends that. */
    void pauseServer() {
        ServerProcess.signal(apiServer(), "STOP");
    }

    /** Continues the API server's process (SIGCONT). */
    void resumeServer() {
        ServerProcess.signal(apiServer(), "CONT");
    }

    /**
     * Runs the controllers that make pods of workloads, until closed. Without kubelets the pods stay objects; a deleted one that
     * is on no node is gone at once. A foreign cluster has them already. The test is skipped if the program is not to be had.
     */
    ControllerManager controllerManager() {
        if (!canStop()) {
            return () -> { };
        }
        try {
            ServerProcess process = new ServerProcess(List.of(binaries.orElseThrow().controllerManager().toString(),
                "--kubeconfig", kubeconfig.toString(), "--controllers", String.join(",", CONTROLLERS),
                "--leader-elect=false", "--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400"),
                folder.resolve("kube-controller-manager.log"));
            controllerManagers.add(process);
            return process::close;
        } catch (ControlPlaneBinaries.Unavailable e) {
            throw new TestAbortedException(e.getMessage());
        }
    }

    /** Controllers that run until they are closed. */
    @FunctionalInterface
    interface ControllerManager extends AutoCloseable {
        @Override
        void close();
    }

    /** Runs kubectl with administrator's rights and returns its output. Fails with its error output. */
    String kubectl(String... arguments) {
        Program.Outcome outcome = tryKubectl(arguments);
        if (outcome.code() != 0) {
            throw new IllegalStateException("kubectl " + String.join(" ", arguments) + ": exit code " + outcome.code() + "\n"
                + outcome.errors());
        }
        return outcome.output();
    }

    /** The same, whatever the exit code; warnings are in the error output. */
    Program.Outcome tryKubectl(String... arguments) {
        List<String> command = new ArrayList<>(List.of(
            controlPlane.isPresent() ? binaries.orElseThrow().program("kubectl").toString() : "kubectl",
            "--kubeconfig", kubeconfig.toString()));
        command.addAll(List.of(arguments));
        return Program.run(Map.of("KUBECACHEDIR", folder.resolve("kubectl").toString()), command);
    }

    /** Applies manifests, in YAML, to a namespace. */
    void apply(String namespace, String manifests) {
        Path file = Folders.write(folder, UUID.randomUUID() + ".yaml", manifests);
        kubectl("apply", "-n", namespace, "-f", file.toString());
    }

    /**
     * A kubeconfig of a service account, which is created if it is missing. It is allowed nothing until a role is bound to it.
     * The namespace is the kubeconfig's own, too.
     */
    Path kubeconfigFor(String namespace, String serviceAccount) {
        try {
            new CoreV1Api(client()).createNamespacedServiceAccount(namespace,
                new V1ServiceAccount().metadata(new V1ObjectMeta().name(serviceAccount))).execute();
        } catch (ApiException e) {
            if (e.getCode() != 409) {
                throw failure("create service account " + serviceAccount, e);
            }
        }
        return kubeconfig(namespace, serviceAccount, serviceAccount, null);
    }

    /** A kubeconfig with a token like the one that a kubelet mounts into a pod: of the pod's service account, and bound to the pod. */
    Path kubeconfigOfPod(String namespace, String serviceAccount, String pod) {
        String uid = kubectl("get", "pod", pod, "-n", namespace, "-o", "jsonpath={.metadata.uid}");
        return kubeconfig(namespace, serviceAccount, pod, new V1BoundObjectReference().apiVersion("v1").kind("Pod").name(pod).uid(uid));
    }

    private Path kubeconfig(String namespace, String serviceAccount, String title, V1BoundObjectReference binding) {
        AuthenticationV1TokenRequest request = new AuthenticationV1TokenRequest().spec(
            new V1TokenRequestSpec().audiences(List.of()).expirationSeconds(86_400L).boundObjectRef(binding));
        try {
            String token = new CoreV1Api(client()).createNamespacedServiceAccountToken(serviceAccount, namespace, request).execute()
                .getStatus().getToken();
            return Folders.write(folder, namespace + "." + title + ".kubeconfig", Kubeconfigs.of(namespace, cluster(), "token: " + token));
        } catch (ApiException e) {
            throw failure("create token of " + serviceAccount, e);
        }
    }

    /** The fields of the cluster in the administrator's kubeconfig; asked for once. */
    private synchronized String cluster() {
        if (cluster == null) {
            cluster = kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "jsonpath={.clusters[0].cluster}")
                .replaceAll("^\\{|}$", "");
        }
        return cluster;
    }

    /** Kills its own processes; on a foreign cluster it deletes the namespaces that it made. A second call does nothing. */
    @Override
    public synchronized void close() {
        if (!Files.exists(folder)) {
            return;
        }
        controllerManagers.forEach(ServerProcess::close);
        controlPlane.ifPresentOrElse(ControlPlane::close, this::deleteNamespaces);
        Folders.delete(folder);
    }

    private void deleteNamespaces() {
        CoreV1Api core = new CoreV1Api(client());
        for (String name : namespaces) {
            try {
                core.deleteNamespace(name).execute();
            } catch (ApiException e) {
                System.err.println("real server: namespace " + name + " is left behind: " + failure("delete", e).getMessage());
            }
        }
    }

    private ControlPlane own() {
        return controlPlane.orElseThrow(() -> new UnsupportedOperationException("the cluster of KUBECONFIG_TEST is not ours to stop"));
    }

    private static boolean exists(CoreV1Api core, String namespace) {
        try {
            core.readNamespacedServiceAccount("default", namespace).execute();
            return true;
        } catch (ApiException e) {
            return false;
        }
    }

    private static IllegalStateException failure(String what, ApiException e) {
        return new IllegalStateException(what + ": HTTP " + e.getCode() + " " + e.getMessage() + " " + e.getResponseBody(), e);
    }
}
