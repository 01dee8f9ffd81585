import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** {@link Groups} for {@link LocalGroup}: checks, reports and ends the groups of one test. To be registered as an instance field. */
final class LocalGroups implements AfterEachCallback {

    private final Supplier<? extends TestServer> server;
    private final List<LocalGroup> groups = new CopyOnWriteArrayList<>();

    /** Groups on the server that {@code server} gives when one is made. */
    LocalGroups(Supplier<? extends TestServer> server) {
        this.server = server;
    }

    /** A group of pods {@code web-0} and so on in a namespace of its own: one leads, all are labelled and have nothing to do. */
    LocalGroup elected(int pods, List<String> flags) {
        LocalGroup group = empty(flags);
        group.start(0, pods);
        String leader = group.group().awaitLeader(Group.SOON.plus(Duration.ofSeconds(10)));
        group.awaitIdle(leader);
        return group;
    }

    /** A group without pods, in a namespace of its own. */
    LocalGroup empty(List<String> flags) {
        LocalGroup group = new LocalGroup(server.get(), server.get().newNamespace(), "web", flags);
        groups.add(group);
        return group;
    }

    @Override
    public void afterEach(ExtensionContext context) {
        boolean failed = context.getExecutionException().isPresent();
        try {
            if (!failed) {
                failed = true;
                groups.forEach(LocalGroup::check);
                failed = false;
            }
        } finally {
            if (failed) {
                System.out.println("=== " + context.getDisplayName());
                groups.forEach(group -> System.out.println(group.report()));
            }
            groups.forEach(LocalGroup::close);
        }
    }
}
