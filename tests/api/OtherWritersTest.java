import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1Container;
import io.kubernetes.client.openapi.models.V1Lease;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.openapi.models.V1PodSpec;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** A warning of contention says who else writes to the object, as the API server records it. */
@Real
class OtherWritersTest {

    private final String namespace = RealServer.shared().newNamespace();
    private final ApiClient client = RealServer.shared().client();

    @Test
    void the_other_writers_of_a_pod_and_of_the_lease_are_their_field_managers_without_this_program() throws ApiException {
        V1PodSpec spec = new V1PodSpec().overhead(null).addContainersItem(new V1Container().name("app").image("app"));
        V1Pod pod = new CoreV1Api(client).createNamespacedPod(namespace, new V1Pod().metadata(new V1ObjectMeta().name("web-0")).spec(spec))
                .fieldManager("operator").execute();
        new CoordinationV1Api(client).createNamespacedLease(namespace, new V1Lease().metadata(new V1ObjectMeta().name("web")
                .putLabelsItem("app", "web"))).fieldManager("janitor").execute();

        Config config = TestConfig.config().namespace(namespace).build();
        try (Kubernetes kubernetes = InProcessSidecar.kubernetes(config, RealServer.shared().client())) {
            String version = pod.getMetadata().getResourceVersion();
            assertInstanceOf(Reply.PodReply.class,
                    kubernetes.send(new Effect.PatchPod(1, "web-0", version, "true", "true", "1", null, false, Long.MAX_VALUE)));

            assertEquals(Set.of("operator"), kubernetes.otherWriters("web-0"));
            assertEquals(Set.of("janitor"), kubernetes.otherWriters(null));
            assertEquals(Set.of(), kubernetes.otherWriters("web-9"));
        }
    }
}
