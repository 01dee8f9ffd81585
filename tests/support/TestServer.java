import io.kubernetes.client.openapi.ApiClient;
import java.nio.file.Path;

/**
 * A Kubernetes API server that tests talk to: the in-memory one, a real kube-apiserver with etcd, or a cluster named by
 * {@code KUBECONFIG_TEST}. The conformance tests hold all of them to the same behaviour.
 */
interface TestServer extends AutoCloseable {

    /** What a report calls this server, for example {@code kube-apiserver v1.37.2}. */
    String title();

    /** The N of the Kubernetes 1.N that this server behaves like. */
    int minorVersion();

    /** A kubeconfig file with administrator's rights, for sidecar processes and kubectl. */
    Path kubeconfig();

    /** A client with administrator's rights; every call makes a new one, so that its settings may be changed freely. */
    ApiClient client();

    /** Creates a namespace of its own for one test and returns its name. */
    String newNamespace();

    /** Whether {@link #stopServer} and {@link #startServer} work here; not on a cluster of somebody else's. */
    boolean canStop();

    /** Ends the API server process (or listener): connections break and new ones are refused. The stored objects stay. */
    void stopServer();

    /** Starts it again at the same address with the same objects; returns when it is ready. */
    void startServer();

    /** Ends everything that this object started. */
    @Override
    void close();
}
