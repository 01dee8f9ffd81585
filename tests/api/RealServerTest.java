import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The real API server is what the other tests take it for. */
@Real
class RealServerTest {
    private static final Duration LIMIT = Duration.ofSeconds(30);

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
}
