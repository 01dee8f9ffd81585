import java.time.Duration;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a sidecar does when requests are refused, late, or fail in ways that no API server causes. An API server in memory suffices. */
class FaultyServerTest {

    private InMemoryServer server;
    private HostileGroup group;

    @BeforeEach
    void start() {
        server = new InMemoryServer();
        group = new HostileGroup(server, Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(500));
    }

    @AfterEach
    void end() {
        group.close();
        server.close();
    }

    // --- Refusals ----------------------------------------------------------------------------------------------------

    @Test
    void a_retry_after_of_an_hour_stops_watches_for_half_of_renew_deadline() {
        group.start(1);
        group.awaitLeader();
        HttpFault overload = new HttpFault.Refuse(503, 3600);
        FaultPlan plan = group.meet(RequestPhase.WATCH, overload, overload).then(RequestPhase.LIST, overload, overload);

        group.strikeWatches("web-0", new HttpFault.ResetAfter());

        group.await("the watches are refused", () -> plan.isOver(Set.of(RequestPhase.WATCH, RequestPhase.LIST)));
        group.awaitWatches("web-0");
    }
}
