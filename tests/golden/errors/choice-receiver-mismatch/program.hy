(defprotocol Deliver [Seller Post Courier]
  (choice Seller
    [(-> Seller Post (parcel))]
    [(-> Seller Courier (parcel))]))
