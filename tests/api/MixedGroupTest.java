import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Sidecars in one election with a client-go program that holds the same Lease by pod name, and labels, but neither fences nor claims. */
@Patient
class MixedGroupTest {

    private static final String GO_POD = "web-9";
    private static final Duration LEASE = Duration.ofSeconds(15);
    private static final Duration RETRY = Duration.ofSeconds(2);
    /** Much less than a lease that is waited out. */
    private static final Duration AT_ONCE = Duration.ofSeconds(8);

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

    @ConcurrentTest
    void sidecars_join_a_group_that_such_a_program_leads() {
        LocalGroup group = groups.empty(with(Group.CALM, "--lease-name=web-lock"));
        try (GoLeader program = leadingProgram(group, LEASE, RETRY)) {
            group.start(0, 2);

            awaitFollowers(group);
            group.awaitRenewals(GO_POD, 2);
            assertTrue(program.isLeading());
            assertEquals(List.of(GO_POD, GO_POD), List.of(group.sidecar("web-0").leader(), group.sidecar("web-1").leader()));
            assertEquals(List.of(), group.trace().textSince(0, entry -> entry.is("PUT lease") || entry.is("POST lease")));
            assertEquals("true", group.group().labels().get(GO_POD), "nor do they touch its label");
        }
    }

    @ConcurrentTest
    void a_sidecar_takes_over_at_once_when_the_program_releases_and_takes_its_label_off() {
        LocalGroup group = groups.empty(with(Group.CALM, "--lease-name=web-lock"));
        try (GoLeader program = leadingProgram(group, LEASE, RETRY)) {
            group.start(0, 2);
            awaitFollowers(group);
            group.awaitIdle(GO_POD);
            long place = group.trace().now();

            program.release();

            String next = group.awaitLabelledOtherThan(GO_POD, AT_ONCE);
            String other = next.equals("web-0") ? "web-1" : "web-0";
            long promoted = group.trace().first(place, next + ": PATCH pod " + next + " true").sent;
            assertEquals(List.of(next + ": LIST pods", next + ": PUT lease holder=" + next, next + ": PATCH pod " + other + " false",
                    next + ": PATCH pod " + GO_POD + " false", next + ": PATCH pod " + next + " true"),
                    group.trace().textSince(place, entry -> entry.pod.equals(next) && entry.sent <= promoted));
        }
    }

    @ConcurrentTest
    void a_pod_that_only_the_lease_connects_with_the_group_is_fenced_too() {
        // A leadership label of somebody's choice may be shared with another election: only the name in the Lease tells.
        LocalGroup group = groups.empty(with(with(Group.CALM, "--lease-name=web-lock"), "--leadership-label=example.com/leader"));
        try (GoLeader program = leadingProgram(group, LEASE, RETRY)) {
            group.createPod("web-8", true);
            group.group().editLabel("web-8", group.group().keys().leadership(), "false");
            long before = group.witness().now();
            group.start(0, 1);
            group.group().await("web-0 follows", Group.SOON, () -> "false".equals(group.group().labels().get("web-0")));

            program.release();

            group.awaitLabelledOtherThan(GO_POD, AT_ONCE);
            assertEquals("false", group.group().labels().get(GO_POD));
            group.witness().catchUp();
            assertEquals(List.of(), group.witness().writesSince(before).stream().filter(pod -> pod.name().equals("web-8")).toList());
        }
    }

    @ConcurrentTest
    void a_sidecar_takes_over_at_expiry_when_the_program_crashes() {
        LocalGroup group = groups.empty(with(Group.CALM, "--lease-name=web-lock"));
        try (GoLeader program = leadingProgram(group, Duration.ofSeconds(2), Duration.ofMillis(300))) {
            group.start(0, 1);
            group.group().await("web-0 follows", Group.SOON, () -> "false".equals(group.group().labels().get("web-0")));
            group.awaitRenewals(GO_POD, 2);
            program.crash();
            group.witness().catchUp();
            long renewed = group.witness().lease().orElseThrow().at();
            long place = group.trace().now();

            group.awaitLabelledOtherThan(GO_POD, AT_ONCE);

            long waited = group.trace().first(place, "web-0: PUT lease holder=web-0").sentAt - renewed;
            assertTrue(waited > Duration.ofMillis(1750).toNanos(), "usurped after " + waited + " ns");
        }
    }

    @ConcurrentTest
    void a_leader_hands_over_to_the_program_and_leaves_no_label_behind() {
        LocalGroup group = groups.empty(with(Group.CALM, "--lease-name=web-lock"));
        group.start(0, 1);
        group.group().awaitLeader(Group.SOON);
        // A participant whose sidecar is dead: with nobody else there, the leader would not wait for anybody.
        group.start(1, 2);
        group.group().awaitLeader(Group.SOON);
        group.crash("web-1");
        try (GoLeader program = new GoLeader(server, group.group().namespace(), "web-lock", GO_POD, LEASE, Duration.ofMillis(100))) {
            group.awaitRenewals("web-0", 1);
            assertFalse(program.isLeading());
            long place = group.trace().now();

            group.sidecar("web-0").term();

            assertEquals(0, group.sidecar("web-0").exitCode(Group.SOON));
            group.group().await("the program leads", Group.SOON, program::isLeading);
            assertEquals(GO_POD, group.witness().lease().orElseThrow().holder());
            assertEquals(List.of("web-0: PUT lease holder=", "web-0: PATCH pod web-0 false"),
                    group.trace().textSince(place, entry -> true));
            long waited = group.trace().first(place, "web-0: PATCH pod web-0 false").sentAt
                    - group.trace().first(place, "web-0: PUT lease holder=").sentAt;
            assertTrue(waited < Duration.ofSeconds(2).toNanos(), "it waited " + waited + " ns for a fence");
            group.witness().catchUp();
            assertFalse(group.group().labels().containsValue("true"), group.group().labels().toString());
        }
    }

    /** The program leads, in a pod that has the label: it labels itself as the Go program of the same name does. */
    private static GoLeader leadingProgram(LocalGroup group, Duration lease, Duration retry) {
        group.createPod(GO_POD, true);
        GoLeader program = new GoLeader(server, group.group().namespace(), "web-lock", GO_POD, lease, retry);
        group.group().await("the program leads", Group.SOON, program::isLeading);
        group.group().editLabel(GO_POD, group.group().keys().leadership(), "true");
        return program;
    }

    private static void awaitFollowers(LocalGroup group) {
        group.group().await("web-0 and web-1 follow", Group.SOON, () -> "false".equals(group.group().labels().get("web-0"))
                && "false".equals(group.group().labels().get("web-1")));
    }

    private static List<String> with(List<String> flags, String flag) {
        List<String> all = new ArrayList<>(flags);
        all.add(flag);
        return all;
    }
}
