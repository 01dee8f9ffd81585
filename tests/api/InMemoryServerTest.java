import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.models.V1Lease;
import java.nio.file.Files;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What {@link InMemoryServer} offers to tests beyond the API. */
class InMemoryServerTest {

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
