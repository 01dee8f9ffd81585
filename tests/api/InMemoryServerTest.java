import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kubernetes.client.informer.SharedInformerFactory;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.models.V1Lease;
import io.kubernetes.client.openapi.models.V1LeaseList;
import io.kubernetes.client.util.CallGeneratorParams;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What {@link InMemoryServer} offers to tests beyond the API. */
class InMemoryServerTest {

    private static final Duration LIMIT = Duration.ofSeconds(20);

    private final InMemoryServer server = new InMemoryServer();
    private final String namespace = server.newNamespace();
    private final CoordinationV1Api coordination = new CoordinationV1Api(server.client());

    @AfterEach
    void close() {
        server.close();
    }

    @Test
    void a_rule_can_be_limited_to_one_name_as_resource_names_limit_a_role() throws ApiException {
        put("l");
        server.allow((verb, resource, in, name) -> resource.equals("leases") && name.equals("l"));
        coordination.readNamespacedLease("l", namespace).execute();
        coordination.listNamespacedLease(namespace).fieldSelector("metadata.name=l").execute();
        assertEquals(403, assertThrows(ApiException.class, () -> coordination.listNamespacedLease(namespace).execute()).getCode());
        assertEquals(403, assertThrows(ApiException.class, () -> coordination.readNamespacedLease("m", namespace).execute()).getCode());
        assertEquals(403, assertThrows(ApiException.class,
                () -> coordination.createNamespacedLease(namespace, new V1Lease()).execute()).getCode());
    }

    @Test
    void an_informer_follows_through_a_restart() {
        put("before");
        var factory = new SharedInformerFactory(server.client());
        var informer = factory.sharedIndexInformerFor((CallGeneratorParams params) -> coordination.listNamespacedLease(namespace)
                .resourceVersion(params.resourceVersion).watch(params.watch).timeoutSeconds(params.timeoutSeconds).buildCall(null),
                V1Lease.class, V1LeaseList.class);
        factory.startAllRegisteredInformers();
        try {
            Wait.until("the first lease is known", LIMIT, () -> informer.getIndexer().list().size() == 1);
            put("watched");
            Wait.until("the watched lease is known", LIMIT, () -> informer.getIndexer().list().size() == 2);
            server.stopServer();
            put("meanwhile");
            server.startServer();
            Wait.until("the lease made meanwhile is known", LIMIT, () -> informer.getIndexer().list().size() == 3);
        } finally {
            factory.stopAllRegisteredInformers();
        }
    }

    @Test
    void tests_see_every_revision_in_order() throws ApiException {
        var versions = new ArrayList<String>();
        server.withStore(store -> {
            store.onRevision(revision -> versions.add(Json.text(revision.after(), "metadata", "resourceVersion")));
            return store;
        });
        put("a");
        var lease = coordination.readNamespacedLease("a", namespace).execute();
        lease.getMetadata().putLabelsItem("k", "v");
        var replaced = coordination.replaceNamespacedLease("a", namespace, lease).execute();
        assertEquals(List.of(lease.getMetadata().getResourceVersion(), replaced.getMetadata().getResourceVersion()), versions);
    }

    @Test
    void a_stopped_server_can_be_closed_and_leaves_no_files() {
        assertTrue(Files.exists(server.kubeconfig()));
        server.stopServer();
        server.close();
        server.close();
        assertFalse(Files.exists(server.kubeconfig()));
    }

    private void put(String lease) {
        server.withStore(store -> store.create(Resource.LEASES, namespace, Map.of("metadata", Map.of("name", lease))));
    }
}
