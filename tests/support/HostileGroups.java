import java.time.Duration;
import java.util.function.Supplier;

/**
 * The hostile groups of one test: afterwards it {@link HostileGroup#check checks} them, prints everything about them if the test failed,
 * and ends them. To be registered as an instance field.
 */
final class HostileGroups extends GroupsOfTest<HostileGroup> {

    private final Supplier<? extends TestServer> server;

    /** Groups on the server that {@code server} gives when the first one is made. */
    HostileGroups(Supplier<? extends TestServer> server) {
        this.server = server;
    }

    /** A group in a namespace of its own, of which one pod leads, with the timing 3 s, 2 s, 500 ms. Its log begins then. */
    HostileGroup elected(int pods) {
        HostileGroup group = empty(Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(500));
        group.start(pods);
        group.awaitLeader();
        group.log().mark();
        return group;
    }

    /** A group without pods in a namespace of its own. */
    HostileGroup empty(Duration leaseDuration, Duration renewDeadline, Duration retryPeriod) {
        return add(new HostileGroup(server.get(), leaseDuration, renewDeadline, retryPeriod));
    }
}
