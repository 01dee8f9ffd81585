import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * The hostile groups of one test: afterwards it {@link HostileGroup#check checks} them, prints everything about them if the test failed,
 * and ends them. To be registered as an instance field.
 */
final class HostileGroups implements AfterEachCallback {

    private final Supplier<? extends TestServer> server;
    private final List<HostileGroup> groups = new CopyOnWriteArrayList<>();

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
        HostileGroup group = new HostileGroup(server.get(), leaseDuration, renewDeadline, retryPeriod);
        groups.add(group);
        return group;
    }

    List<HostileGroup> all() {
        return groups;
    }

    @Override
    public void afterEach(ExtensionContext context) {
        boolean failed = context.getExecutionException().isPresent();
        try {
            if (!failed) {
                failed = true;
                groups.forEach(HostileGroup::check);
                failed = false;
            }
        } finally {
            if (failed) {
                System.out.println("=== " + context.getDisplayName());
                groups.forEach(group -> System.out.println(group.report()));
            }
            groups.forEach(HostileGroup::close);
        }
    }
}
