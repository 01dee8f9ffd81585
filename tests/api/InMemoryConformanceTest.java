import io.kubernetes.client.openapi.ApiClient;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** {@link ConformanceTest} against the in-memory API server. */
class InMemoryConformanceTest extends ConformanceTest {

    private static InMemoryServer server;

    @BeforeAll
    static void start() {
        server = new InMemoryServer();
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    @Override
    TestServer server() {
        return server;
    }

    @Override
    ApiClient clientWithoutRights(String inNamespace) {
        server.allow((verb, resource, namespace, name) -> !namespace.equals(inNamespace));
        return server.client();
    }
}
