import io.fabric8.kubeapitest.Utils;
import io.fabric8.kubeapitest.cert.CertManager;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.util.Config;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import okhttp3.Request;
import okhttp3.Response;

/**
 * etcd and kube-apiserver as child processes, with RBAC, in a temporary folder that holds their data, certificates and output.
 *
 * <p>kube-api-test brings the certificates. Its processes are not used: etcd listens on "localhost", which not every machine knows, and the
 * API server takes a new port at every start, and pulls etcd down with it when it ends, where tests need it to come back as it was.
 */
final class ControlPlane implements AutoCloseable {
    /** An extra flag: pods get a service account, which must exist, and their containers its token. */
    static final String SERVICE_ACCOUNTS = "--enable-admission-plugins=ServiceAccount";
    private static final String TOKEN = UUID.randomUUID().toString();
    private static final Duration START_LIMIT = Duration.ofSeconds(90);

    private final Path folder = Folders.temporary("control-plane");
    private final ServerProcess etcd;
    private final List<String> command;
    private final Path kubeconfig;
    private final Path kubeconfigWithCertificate;
    private ServerProcess apiServer;

    /** Starts both; returns when the API server is ready. Extra flags come last, so they win over the own ones. */
    ControlPlane(ControlPlaneBinaries binaries, List<String> extraFlags) {
        CertManager certificates = new CertManager(folder.toString());
        certificates.createCertificatesIfNeeded();
        int etcdPort = Utils.findFreePort();
        etcd = new ServerProcess(etcdCommand(binaries, etcdPort), folder.resolve("etcd.log"));
        try {
            int port = Utils.findFreePort();
            command = apiServerCommand(binaries, certificates, etcdPort, port, extraFlags);
            String cluster = "server: \"https://127.0.0.1:%d\", certificate-authority: \"%s\"".formatted(port,
                certificates.getAPIServerCertPath());
            kubeconfig = Folders.write(folder, "kubeconfig", Kubeconfigs.of(cluster, "token: " + TOKEN));
            kubeconfigWithCertificate = Folders.write(folder, "certificate.kubeconfig", Kubeconfigs.of(cluster,
                "client-certificate: \"%s\", client-key: \"%s\"".formatted(certificates.getClientCertPath(),
                certificates.getClientKeyPath())));
            startApiServer();
        } catch (RuntimeException | Error e) {
            close(); // else etcd's process and threads keep this JVM alive
            throw e;
        }
    }

    /** A kubeconfig with an administrator's token. With a client certificate, the start of a JVM would take twice the CPU time. */
    Path kubeconfig() {
        return kubeconfig;
    }

    /** The same with a client certificate, which the HTTP client of an {@link ApiClient} has for requests that a test sends by itself. */
    Path kubeconfigWithCertificate() {
        return kubeconfigWithCertificate;
    }

    /** The API server's process; after a restart it is another one. */
    ProcessHandle apiServer() {
        return apiServer.handle();
    }

    /** Kills the API server; etcd goes on. */
    void stopApiServer() {
        apiServer.close();
    }

    /** Starts the API server as it was: same port, same certificates, same etcd; returns when it is ready. */
    void startApiServer() {
        apiServer = new ServerProcess(command, folder.resolve("kube-apiserver.log"));
        try {
            ApiClient client = Config.fromConfig(kubeconfigWithCertificate.toString());
            Wait.until("kube-apiserver is ready", START_LIMIT,
                () -> ready(client, "/readyz") && ready(client, "/api/v1/namespaces/default"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (AssertionError e) {
            throw new AssertionError("%s; its last output:\n%s\nand etcd's:\n%s".formatted(e.getMessage(), apiServer.lastOutput(),
                etcd.lastOutput()), e);
        }
    }

    /** Kills all processes and deletes the folder. */
    @Override
    public void close() {
        if (apiServer != null) {
            apiServer.close();
        }
        etcd.close();
        Folders.delete(folder);
    }

    private boolean ready(ApiClient client, String path) {
        if (!apiServer.handle().isAlive()) {
            throw new AssertionError("kube-apiserver ended by itself");
        }
        Request request = new Request.Builder().url(client.getBasePath() + path).build();
        try (Response response = client.getHttpClient().newCall(request).execute()) {
            return response.isSuccessful();
        } catch (IOException e) {
            return false;
        }
    }

    /** On the loopback interface only, by its address: Go does not know "localhost" where /etc/hosts does not. Nothing survives a test. */
    private List<String> etcdCommand(ControlPlaneBinaries binaries, int port) {
        String peers = "http://127.0.0.1:" + Utils.findFreePort();
        String clients = "http://127.0.0.1:" + port;
        return List.of(binaries.program("etcd").toString(), "--data-dir", folder.resolve("etcd").toString(), "--unsafe-no-fsync",
            "--listen-client-urls", clients, "--advertise-client-urls", clients,
            "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default=" + peers);
    }

    /**
     * kube-api-test's flags, on the loopback interface only. Without the plug-in ServiceAccount pods need no service account; who wants it
     * enables it by an extra flag.
     */
    private List<String> apiServerCommand(ControlPlaneBinaries binaries, CertManager certificates, int etcdPort, int port,
            List<String> extraFlags) {
        List<String> line = new ArrayList<>(List.of(binaries.program("kube-apiserver").toString(),
            "--etcd-servers", "http://127.0.0.1:" + etcdPort,
            "--bind-address", "127.0.0.1",
            "--secure-port", Integer.toString(port),
            "--advertise-address", "127.0.0.1",
            "--endpoint-reconciler-type", "none",
            "--cert-dir", folder.toString(),
            "--client-ca-file", certificates.getClientCertPath(),
            "--token-auth-file", Folders.write(folder, "tokens.csv", TOKEN + ",admin,admin,system:masters\n").toString(),
            "--authorization-mode", "RBAC",
            "--service-account-issuer", "https://localhost",
            "--service-account-signing-key-file", certificates.getAPIServerKeyPath(),
            "--service-account-key-file", certificates.getAPIServerKeyPath(),
            "--service-cluster-ip-range", "10.0.0.0/24",
            "--allow-privileged"));
        if (!extraFlags.contains(SERVICE_ACCOUNTS)) {
            line.addAll(List.of("--disable-admission-plugins", "ServiceAccount"));
        }
        line.addAll(extraFlags);
        return line;
    }
}
