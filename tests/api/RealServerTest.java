import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1Container;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.openapi.models.V1PodSpec;
import io.kubernetes.client.util.Config;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The real API server is what the other tests take it for. */
@Real
class RealServerTest {
    private static final Duration LIMIT = Duration.ofSeconds(30);

    @Test
    void a_restart_keeps_the_objects_and_the_address() throws ApiException {
        RealServer server = RealServer.shared();
        assumeTrue(server.canStop(), "not our server to stop");
        String namespace = server.newNamespace();
        CoreV1Api core = new CoreV1Api(server.client());
        V1Pod before = core.createNamespacedPod(namespace, pod("web-0")).execute();
        ProcessHandle first = server.apiServer();

        server.stopServer();
        assertFalse(first.isAlive());
        assertThrows(ApiException.class, () -> core.readNamespacedPod("web-0", namespace).execute());

        server.startServer();
        V1Pod after = core.readNamespacedPod("web-0", namespace).execute();
        assertEquals(before.getMetadata().getUid(), after.getMetadata().getUid());
        assertEquals(before.getMetadata().getResourceVersion(), after.getMetadata().getResourceVersion());
    }

    @Test
    void a_service_account_may_do_only_what_its_role_says() throws Exception {
        RealServer server = RealServer.shared();
        String namespace = server.newNamespace();
        CoreV1Api core = new CoreV1Api(Config.fromConfig(server.kubeconfigFor(namespace, "sidecar").toString()));
        assertEquals(403, assertThrows(ApiException.class, () -> core.listNamespacedPod(namespace).execute()).getCode());

        server.kubectl("create", "role", "reader", "-n", namespace, "--verb=list", "--resource=pods");
        server.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", "--serviceaccount=" + namespace + ":sidecar");
        Wait.until("the role counts", LIMIT, () -> mayList(core, namespace));
        int code = assertThrows(ApiException.class, () -> core.createNamespacedPod(namespace, pod("web-0")).execute()).getCode();
        assertEquals(403, code);
    }

    @Test
    void nothing_is_left_running_after_close() {
        Set<ProcessHandle> before = children();
        RealServer server = RealServer.start();
        server.controllerManager();
        if (server.canStop()) {
            assertEquals(3, children().stream().filter(child -> !before.contains(child)).count(), "etcd, API server, controllers");
        }
        server.close();
        Wait.until("no process is left", LIMIT, () -> before.containsAll(children()));
        server.close();
    }

    private static Set<ProcessHandle> children() {
        return ProcessHandle.current().descendants().filter(ProcessHandle::isAlive).collect(Collectors.toSet());
    }

    private static boolean mayList(CoreV1Api core, String namespace) {
        try {
            core.listNamespacedPod(namespace).execute();
            return true;
        } catch (ApiException e) {
            return false;
        }
    }

    /** The API server refuses the empty overhead that the class sets by itself. */
    private static V1Pod pod(String name) {
        V1PodSpec spec = new V1PodSpec().overhead(null).containers(List.of(new V1Container().name("app").image("app")));
        return new V1Pod().metadata(new V1ObjectMeta().name(name)).spec(spec);
    }
}
