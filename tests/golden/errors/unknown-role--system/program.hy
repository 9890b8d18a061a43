(import klorpy.behaviour [compliant parse-system])
(compliant (parse-system "(sys (buyer (send seller order)) (bank (recv pay)))"))
