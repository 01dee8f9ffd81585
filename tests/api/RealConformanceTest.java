import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.util.Config;
import java.io.IOException;
import java.io.UncheckedIOException;

/** {@link ConformanceTest} against a real API server. */
@Real
@Patient.WithProcesses
class RealConformanceTest extends ConformanceTest {

    @Override
    TestServer server() {
        return RealServer.shared();
    }

    @Override
    ApiClient clientWithoutRights(String inNamespace) {
        try {
            return Config.fromConfig(RealServer.shared().kubeconfigFor(inNamespace, "nobody").toString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
