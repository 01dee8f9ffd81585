import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;

/** What sidecar processes make of an API server that hangs, is dead, or comes late; proxies make it look so. */
@Patient.WithProcesses
class OutageTest {

    private final InMemoryServer server = new InMemoryServer();
    private final HostileGroup group = new HostileGroup(server, Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(500));

    @AfterEach
    void close() {
        group.close();
        server.close();
    }

    @ConcurrentTest
    void sidecars_exit_while_the_api_server_hangs() {
        assertExit(proxy -> {
            proxy.faults(request -> Optional.of(new HttpFault.Hold(new CompletableFuture<>())));
            proxy.strikeWatches(new HttpFault.Silence());
        });
    }

    @ConcurrentTest
    void sidecars_exit_while_the_api_server_is_dead() {
        assertExit(FaultProxy::refuse);
    }

    private void assertExit(Consumer<FaultProxy> outage) {
        List<String> pods = List.of("web-0", "web-1");
        pods.forEach(group.group()::createPod);
        List<FaultProxy> proxies = pods.stream().map(group::startProcess).toList();
        group.group().awaitLeader(Group.START);

        proxies.forEach(outage);
        List<SidecarProcess> sidecars = pods.stream().map(group.group()::term).toList();

        for (SidecarProcess sidecar : sidecars) {
            assertEquals(0, sidecar.exitCode(Group.SOON));
        }
    }

    @ConcurrentTest
    void a_sidecar_that_starts_without_an_api_server_says_so_once_a_minute_and_takes_part_when_it_comes() {
        group.group().createPod("web-0");
        SidecarProcess.train(server.kubeconfig()); // which needs an API server
        server.stopServer();
        SidecarProcess sidecar = group.group().startSidecar("web-0");
        sidecar.awaitLog("trying again", Group.START);

        server.startServer();

        Wait.until("web-0 leads", Group.START, () -> server.withStore(store -> store.list(Store.Selection.all(Resource.PODS,
                group.group().namespace()))).items().stream().anyMatch(pod -> "true".equals(Json.text(pod, "metadata", "labels",
                "web/is-leader"))));
        Stream<String> said = sidecar.log().lines().filter(line -> line.contains("trying again") && line.contains("ConnectException"));
        List<Instant> times = said.map(line -> Instant.parse(line.split(" ")[0])).toList();
        assertTrue(Duration.between(times.getFirst(), times.getLast()).toMinutes() >= times.size() - 1, sidecar.log());
    }
}
