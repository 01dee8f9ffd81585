import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Whatever somebody does to labels, annotations or the Lease, everything is soon as it should be, after few writes, and then rests. */
@Real
class HealingTest {

    /** What somebody does to a pod. */
    private enum PodFault {
        LEADERSHIP_CHANGED((group, pod) -> group.editLabel(pod, group.keys().leadership(), opposite(group.labels().get(pod)))),
        LEADERSHIP_REMOVED((group, pod) -> group.editLabel(pod, group.keys().leadership(), null)),
        PARTICIPATION_CHANGED((group, pod) -> group.editLabel(pod, group.keys().participation(), "false")),
        PARTICIPATION_REMOVED((group, pod) -> group.editLabel(pod, group.keys().participation(), null)),
        ANNOTATION_CHANGED((group, pod) -> group.editEpoch(pod, "999999999")),
        ANNOTATION_REMOVED((group, pod) -> group.editEpoch(pod, null));

        private final BiConsumer<Group, String> edit;

        PodFault(BiConsumer<Group, String> edit) {
            this.edit = edit;
        }

        private static String opposite(String value) {
            return value.equals("true") ? "false" : "true";
        }
    }

    /** To whom. */
    private enum Target { LEADER, FOLLOWER, BOTH }

    /** What somebody does to the Lease. */
    private enum LeaseFault {
        DELETED(Group::deleteLease),
        EMPTIED(group -> group.editLease(spec -> spec.setHolderIdentity(""))),
        GIVEN_TO_A_STRANGER(group -> group.editLease(spec -> spec.setHolderIdentity("stranger"))),
        MADE_TO_LAST(group -> group.editLease(spec -> spec.setLeaseDurationSeconds(1_000_000)));

        private final Consumer<Group> edit;

        LeaseFault(Consumer<Group> edit) {
            this.edit = edit;
        }
    }

    private static final int PODS = 3;
    private static final Duration QUIET = Duration.ofSeconds(5);
    private static final Queue<Group> IDLE = new ConcurrentLinkedQueue<>();
    private static final List<Group> ALL = new ArrayList<>();

    /** One that no other test uses, which is started if there is none; one after the other, lest too many JVMs start at once. */
    private static synchronized Group idleGroup() {
        Group idle = IDLE.poll();
        return idle == null ? startGroup() : idle;
    }

    private static Group startGroup() {
        Group group = new Group(RealServer.shared(), RealServer.shared().newNamespace(), "web", Group.FAST);
        ALL.add(group);
        group.start(PODS);
        group.awaitLeader(Group.START);
        return group;
    }

    @AfterAll
    static void end() {
        ALL.forEach(Group::close);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @MethodSource
    void what_somebody_does_to_pods_is_put_right_and_then_nothing_is_written(PodFault fault, Target target) {
        assertHeals(group -> {
            String leader = group.awaitLeader(Group.SOON);
            String follower = group.otherThan(leader);
            if (target != Target.FOLLOWER) {
                fault.edit.accept(group, leader);
            }
            if (target != Target.LEADER) {
                fault.edit.accept(group, follower);
            }
        });
    }

    static Stream<Arguments> what_somebody_does_to_pods_is_put_right_and_then_nothing_is_written() {
        return Stream.of(PodFault.values()).flatMap(fault -> Stream.of(Target.values()).map(target -> Arguments.of(fault, target)));
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @EnumSource
    void what_somebody_does_to_the_lease_is_put_right_and_then_nothing_is_written(LeaseFault fault) {
        assertHeals(fault.edit);
    }

    /** The label may move by this, or not; in the end there is one leader, and getting there has taken no more writes than necessary. */
    private static void assertHeals(Consumer<Group> fault) {
        Group group = idleGroup();
        try {
            group.awaitLeader(Group.SOON);
            long before = group.witness().now();

            fault.accept(group);

            List<Witness.PodRevision> writes = group.awaitQuiet(before, Group.SOON, QUIET);
            assertTrue(writes.size() <= PODS + 3, writes.size() + " pod writes");
            assertEquals(PODS, group.labels().size());
            group.check();
        } catch (AssertionError e) {
            System.out.println(group.report());
            throw e;
        } finally {
            IDLE.add(group);
        }
    }
}
