(defprotocol Feed [Source Sink]
  (mu t t))
