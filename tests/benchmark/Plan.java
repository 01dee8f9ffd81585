import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What is going to be measured.
 *
 * @param idle for how long a team is left alone to see what it does then
 * @param folder for what is written, if anything is
 */
record Plan(Timings timings, Duration idle, int rounds, Set<Scenario> scenarios, List<Candidate> candidates, Optional<Path> folder) {}
