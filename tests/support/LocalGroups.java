import java.time.Duration;
import java.util.List;
import java.util.function.Supplier;

/** {@link Groups} for {@link LocalGroup}: checks, reports and ends the groups of one test. To be registered as an instance field. */
final class LocalGroups extends GroupsOfTest<LocalGroup> {

    private final Supplier<? extends TestServer> server;

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
        return add(new LocalGroup(server.get(), server.get().newNamespace(), "web", flags));
    }
}
