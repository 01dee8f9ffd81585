import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Thirty participants: quiet while nothing happens, and no stampede when something does. */
class LargeGroupTest {

    private static final int SIZE = 30;
    private static final Duration TAKE_OVER = Duration.ofSeconds(1);
    private static final Duration LONG = Duration.ofSeconds(60);

    private static InMemoryServer server;

    @RegisterExtension
    final LocalGroups groups = new LocalGroups(() -> server);

    @BeforeAll
    static void startServer() {
        server = new InMemoryServer();
    }

    @AfterAll
    static void closeServer() {
        server.close();
    }

    @ConcurrentTest.Alone
    void followers_send_nothing_and_a_take_over_costs_each_participant_a_few_requests_and_less_than_a_second() {
        LocalGroup group = groups.empty(Group.CALM);
        group.start(0, SIZE);
        String leader = group.group().awaitLeader(LONG);
        group.awaitIdle(leader);

        long idle = group.trace().now();
        group.awaitRenewals(leader, 2);
        assertEquals(List.of(), group.trace().textSince(idle, entry -> !entry.pod.equals(leader)), "in steady state");

        long released = group.trace().now();
        group.sidecar(leader).term();
        String second = assertTakenOver(group, leader, released, System.nanoTime(), 2);

        group.awaitIdle(second);
        group.crash(second);
        long gone = group.trace().now();
        long removed = System.nanoTime();
        group.remove(second);
        assertTakenOver(group, second, gone, removed, 3);
    }

    /** Another leads within a second, and nobody asked for more than this but the new leader: it also fences each of the others. */
    private static String assertTakenOver(LocalGroup group, String old, long place, long since, int requests) {
        String next = group.group().awaitLeaderOtherThan(old, LONG);
        Duration took = Duration.ofNanos(group.trace().first(place, next + ": PATCH pod " + next + " true").sentAt - since);
        assertTrue(took.compareTo(TAKE_OVER) < 0, "took " + took);
        group.awaitIdle(next);
        Map<String, List<String>> asked = group.trace().since(place).stream().filter(entry -> !entry.is("PUT lease holder=" + next))
                .collect(Collectors.groupingBy(entry -> entry.pod, Collectors.mapping(entry -> entry.what, Collectors.toList())));
        List<String> fences = asked.getOrDefault(next, List.of()).stream().filter(what -> what.startsWith("PATCH")).toList();
        assertEquals(Set.copyOf(fences).size(), fences.size(), "each once: " + fences);
        asked.forEach((pod, whats) -> {
            int count = whats.size() - (pod.equals(next) ? fences.size() : 0);
            assertTrue(count <= requests, pod + " asked " + whats);
        });
        return next;
    }
}
