(import klorpy.behaviour [equivalent parse-choreography])
(equivalent (parse-choreography "(par (com r s a) (com s t b) (com t r c))") "sync" :limit 5)
