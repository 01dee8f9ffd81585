import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The annotation of the Lease by which users say who is to lead, as real processes take it. */
@Patient.WithProcesses
class PreferredLeaderTest {

    private static final String PREFERRED = "web/preferred-leader";

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(List.of("--lease-duration=8s", "--renew-deadline=6s", "--retry-period=500ms",
            "--unready-grace=500ms"));

    @BeforeAll
    static void elect() {
        GROUP.elect(3);
    }

    /** The label moves as in any planned hand-over, and everybody shows who is preferred. A pod that was too slow is offered the Lease again. */
    @Test
    void the_lead_moves_to_the_pod_that_the_lease_names_and_stays_there() {
        ServedSidecar former = GROUP.leader();
        ServedSidecar preferred = GROUP.follower();
        assertFalse(former.state().containsKey("preferred"));
        assertEquals(0, preferred.metrics().value("leader_labeler_preferred"));
        long before = GROUP.witness().now();

        GROUP.group().annotateLease(PREFERRED, preferred.pod());
        GROUP.group().await(preferred.pod() + " leads", Group.START, () -> GROUP.witness().movesSince(before).stream()
                .map(Witness.Move::toString).anyMatch((preferred.pod() + " on")::equals));

        List<String> moves = GROUP.witness().movesSince(before).stream().map(Witness.Move::toString).toList();
        assertEquals(former.pod() + " off", moves.getFirst());
        assertEquals(preferred.pod() + " on", moves.getLast());
        Wait.until(former.pod() + " follows", Group.SOON, () -> preferred.pod().equals(former.state().get("name")));
        assertEquals(preferred.pod(), former.state().get("preferred"));
        assertEquals(1, preferred.metrics().value("leader_labeler_preferred"));
        assertEquals(0, former.metrics().value("leader_labeler_preferred"));
    }
}
