import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * What sidecars make of an API server that hangs, dies and comes back. There is one outage for all groups here, since it takes seconds; no
 * witness may miss anything meanwhile.
 */
@Patient.WithProcesses
@Real
class OutageTest {

    private static final Duration EXIT_LIMIT = Duration.ofSeconds(5);

    /** A watch cache would begin at the restart, and the witnesses could not go on where they were. */
    @RegisterExtension
    static final Groups GROUPS = Groups.ofClass(() -> RealServer.start("--watch-cache-sizes=pods#0,leases.coordination.k8s.io#0"));

    private static Group late;
    private static Map<String, Duration> exitsWhileItHung;
    private static Map<String, Duration> exitsWhileItWasDead;

    @BeforeAll
    static void outage() {
        RealServer server = GROUPS.server();
        assumeTrue(server.canStop(), "not our server to stop");
        Group hung = started(2);
        Group dead = started(2);
        late = started(0);
        late.createPod("web-0");
        hung.awaitLeader(Group.START);
        dead.awaitLeader(Group.START);

        server.pauseServer();
        exitsWhileItHung = exits(hung);
        server.stopServer();
        SidecarProcess begunMeanwhile = late.startSidecar("web-0");
        exitsWhileItWasDead = exits(dead);
        begunMeanwhile.awaitLog("trying again", Group.START);
        server.startServer();
    }

    private static Group started(int pods) {
        Group group = GROUPS.empty(GROUPS.server().newNamespace(), "web", Group.FAST);
        group.start(pods);
        return group;
    }

    /** Tells all sidecars of a group to stop, and how long they took. By then the leases of the fast groups have expired. */
    private static Map<String, Duration> exits(Group group) {
        Map<String, Duration> exits = new HashMap<>();
        List<String> pods = List.copyOf(group.labels().keySet());
        long signalled = System.nanoTime();
        pods.forEach(group::term);
        for (String pod : pods) {
            assertEquals(0, group.sidecar(pod).exitCode(Group.SOON));
            exits.put(pod, Duration.ofNanos(group.sidecar(pod).endedAt() - signalled));
        }
        return exits;
    }

    @Test
    void sidecars_exit_within_five_seconds_while_the_api_server_hangs() {
        assertEquals(2, exitsWhileItHung.size());
        exitsWhileItHung.forEach((pod, took) -> assertTrue(took.compareTo(EXIT_LIMIT) <= 0, pod + " took " + took));
    }

    @Test
    void sidecars_exit_within_five_seconds_while_the_api_server_is_dead() {
        assertEquals(2, exitsWhileItWasDead.size());
        exitsWhileItWasDead.forEach((pod, took) -> assertTrue(took.compareTo(EXIT_LIMIT) <= 0, pod + " took " + took));
    }

    @Test
    void a_sidecar_that_starts_without_an_api_server_says_so_once_a_minute_and_takes_part_when_it_comes() {
        assertEquals("web-0", late.awaitLeader(Group.SOON));
        String log = late.sidecar("web-0").log();
        List<Instant> said = log.lines().filter(line -> line.contains("trying again") && line.contains("ConnectException"))
                .map(line -> Instant.parse(line.split(" ")[0])).toList();
        assertTrue(Duration.between(said.getFirst(), said.getLast()).toMinutes() >= said.size() - 1, log);
    }
}
